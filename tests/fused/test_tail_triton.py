"""Test the Triton kernels without a GPU: run them in Triton's interpreter, and compile them for GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eca_mmdet import ECAResNet

TESTS = Path(__file__).parents[1]


def run(command_name, tmp_path, **environment):
    """Return the output of ``tail_kernels.py`` in a process that can import triton."""
    site = Path(sys.prefix, 'tests-site')
    if not (site / 'triton').is_dir():
        pytest.skip(f'triton is not installed in {site}; run make setup on Linux')
    for path in site.glob('triton*'):  # hide the other packages there
        (tmp_path / path.name).symlink_to(path)
    paths = [str(tmp_path), str(TESTS.parent), os.environ.get('PYTHONPATH', '')]
    environment.update(PYTHONPATH=os.pathsep.join(filter(None, paths)))
    environment.update(TRITON_CACHE_DIR=str(tmp_path / 'cache'))
    command = [sys.executable, TESTS / 'tail_kernels.py', command_name]
    result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_kernels__equal_the_torch_implementation(tmp_path):
    results = run('values', tmp_path, TRITON_INTERPRET='1')
    limits = dict(fp64=1e-14, fp32=1e-6, bf16=2**-6)
    assert len(results['kernels']) == 15
    assert {name: e for name, e in results['kernels'].items() if e > limits[name.split()[0]]} == {}
    assert results['backbones'].keys() == {'contiguous', 'channels_last'}
    assert max(results['backbones'].values()) < 1e-12
    assert results['propagates_nan']


def test_kernels__compile_for_gpus(tmp_path):
    code_sizes = run('compile', tmp_path)
    assert len(code_sizes) == 48
    assert min(code_sizes.values()) > 1000


def test_triton_option__is_rejected_if_triton_is_missing(monkeypatch):
    monkeypatch.setattr('eca_mmdet.backbones.compiled.find_spec', lambda name: None)
    with pytest.raises(ValueError, match='needs the package triton'):
        ECAResNet(18, triton=True)
