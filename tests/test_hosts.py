"""Each host library is optional, and each works without the other two."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eca_mmdet.hosts import HOSTS, HostError, host_of, require_host

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(sys.prefix, 'tests-site')  # mmpretrain and torchvision

BUILD = """
import sys
for hidden in {hidden!r}:
    sys.modules[hidden] = None
import {first}
import {second}
import eca_mmdet
import torch
from {host}.registry import MODELS
for kind, options in (('ECAResNet', dict(depth=18)), ('ECAMobileNetV2', dict())):
    backbone = MODELS.build(dict(type=kind, **options)).eval()
    print(kind, type(backbone).__module__, len(backbone(torch.rand(1, 3, 64, 64))))
for name in {hidden!r}:
    assert not [module for module in sys.modules if module.startswith(name + '.')], name
"""


def run(code, paths):
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths))}
    return subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ('host', 'order'),
    [
        ('mmdet', ('mmdet.models', 'eca_mmdet')),
        ('mmseg', ('mmseg.models', 'eca_mmdet')),
        ('mmpretrain', ('eca_mmdet', 'mmpretrain.models')),
    ],
)
def test_host__works_without_the_other_two_in_any_import_order(host, order):
    paths = [ROOT]
    if host == 'mmpretrain':
        if not SITE.is_dir():
            pytest.skip(f'{SITE} (mmpretrain and torchvision, made by make setup) is not there')
        paths.append(SITE)
    hidden = [scope for scope in HOSTS if scope != host]
    result = run(BUILD.format(hidden=hidden, first=order[0], second=order[1], host=host), paths)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith('ECA')]
    assert lines == [
        'ECAResNet eca_mmdet.backbones.eca_resnet 4',
        'ECAMobileNetV2 eca_mmdet.backbones.eca_mobilenet_v2 4',
    ]


def test_missing_host__is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    from eca_mmdet.apis import load_config

    monkeypatch.setitem(sys.modules, 'mmseg', None)
    with pytest.raises(
        HostError, match=r"MMSegmentation is not installed.*\n    pip install 'eca_mmdet\[seg\]'"
    ):
        require_host(HOSTS['mmseg'])
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: 'mmseg' not in package)
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'")
    with pytest.raises(HostError, match='MMSegmentation is not installed'):
        load_config(str(config))


def test_config_without_a_known_scope__counts_as_detection():
    assert host_of({}).scope == host_of(dict(default_scope='mine')).scope == 'mmdet'
    assert host_of(dict(default_scope='mmseg')).task == 'semantic segmentation'
