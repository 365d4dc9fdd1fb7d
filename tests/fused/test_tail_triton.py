"""The Triton kernels, without a GPU: values in Triton's interpreter, machine code from its compiler."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eca_mmdet import ECAResNet

TESTS = Path(__file__).parents[1]


def run(what, tmp_path, **environment):
    """What ``tail_kernels.py`` prints, from a process that sees triton."""
    site = Path(sys.prefix, 'tests-site')
    if not (site / 'triton').is_dir():
        pytest.skip(f'{site} (triton, made by make setup on Linux) is not there')
    for path in site.glob('triton*'):  # none of the packages beside it
        (tmp_path / path.name).symlink_to(path)
    paths = [str(tmp_path), str(TESTS.parent), os.environ.get('PYTHONPATH', '')]
    environment.update(PYTHONPATH=os.pathsep.join(filter(None, paths)))
    environment.update(TRITON_CACHE_DIR=str(tmp_path / 'cache'))
    command = [sys.executable, TESTS / 'tail_kernels.py', what]
    result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_values__are_those_of_the_torch_passes(tmp_path):
    found = run('values', tmp_path, TRITON_INTERPRET='1')
    limits = dict(fp64=1e-14, fp32=1e-6, bf16=2**-6)
    assert len(found['errors']) == 15
    assert {name: e for name, e in found['errors'].items() if e > limits[name.split()[0]]} == {}
    assert found['whole'].keys() == {'backbone contiguous', 'backbone channels_last'}
    assert max(found['whole'].values()) < 1e-12
    assert found['nan']


def test_kernels__compile_for_gpus(tmp_path):
    found = run('compile', tmp_path)
    assert len(found) == 72
    assert min(found.values()) > 1000


def test_option__is_refused_where_triton_is_missing(monkeypatch):
    monkeypatch.setattr('eca_mmdet.backbones.compiled.find_spec', lambda name: None)
    with pytest.raises(ValueError, match='needs the package triton'):
        ECAResNet(18, triton=True)
