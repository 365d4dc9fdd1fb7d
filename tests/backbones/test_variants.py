import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eca_mmdet import ECAResNet
from eca_mmdet.backbones import FAMILIES, VARIANTS

TESTS = Path(__file__).parents[1]
TIMM = [name for family in FAMILIES for name in family.variants if name.startswith('eca')]
NETWORKS = (*TIMM, 'seresnet50', 'torchvision', 'mmpretrain')
# Parameter counts of timm, including the classifier. The first five are published with the weights.
PARAMETERS = {
    'ecaresnet101d': 44568563,
    'ecaresnet101d_pruned': 24876040,
    'ecaresnet50d_pruned': 19939713,
    'ecaresnet50d': 25576350,
    'ecaresnetlight': 30162046,
}


@pytest.fixture(scope='module')
def compared():
    """Run ``library_features.py`` in a separate process, since the libraries import torchvision."""
    site = Path(sys.prefix, 'tests-site')
    if not (site / 'timm').is_dir():
        pytest.skip(f'{site} (timm, mmpretrain and torchvision, made by make setup) is not there')
    paths = [str(site), str(TESTS.parent), os.environ.get('PYTHONPATH', '')]
    result = subprocess.run(
        [sys.executable, TESTS / 'library_features.py'],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize('mode', ['eval', 'train'])
@pytest.mark.parametrize('name', NETWORKS)
def test_features__equal_those_of_the_library_with_the_same_weights(compared, name, mode):
    assert compared[name][mode] < 1e-5


@pytest.mark.parametrize('name', NETWORKS)
def test_batch_statistics__after_a_training_step_equal_those_of_the_library(compared, name):
    assert compared[name]['statistics'] < 1e-5
    assert compared[name]['counters']


@pytest.mark.parametrize('name', TIMM)
def test_parameters__equal_the_counts_of_timm(compared, name):
    assert (
        compared[name]['ours']
        == compared[name]['parameters']
        == PARAMETERS.get(name, compared[name]['parameters'])
    )


@pytest.mark.parametrize('name', TIMM)
def test_conversion__to_timm_restores_every_tensor(compared, name):
    assert compared[name]['back']


@pytest.mark.parametrize('name', TIMM)
def test_conversion__recognises_the_variant(compared, name):
    assert f'(timm {name})' in compared[name]['recognised']


@pytest.mark.parametrize(
    ('name', 'recognised'),
    [
        (
            'seresnet50',
            "timm's SE-ResNet: SE-ResNet-50, attention={'type': 'SELayer', 'ratio': 16, 'bias': True}",
        ),
        ('torchvision', 'plain ResNet of torchvision or timm: ECA-ResNet-50, kernel sizes 3557, groups=32'),
        (
            'mmpretrain',
            'MMPretrain classifier: ECA-ResNet-50, kernel sizes 3557, deep_stem=True, avg_down=True',
        ),
    ],
)
def test_conversion__recognises_plain_networks(compared, name, recognised):
    assert compared[name]['recognised'] == recognised


@pytest.mark.parametrize(
    ('widths', 'message'),
    [
        ('ecaresnet50d', 'allowed names are ecaresnet50d_pruned, ecaresnet101d_pruned'),
        ('ecaresnet101d_pruned', r'\[3, 4, 23, 3\] blocks in its stages, but the network has \(3, 4, 6, 3\)'),
    ],
)
def test_block_widths__of_an_unknown_name_raise_an_error(widths, message):
    with pytest.raises(ValueError, match=message):
        ECAResNet(50, block_widths=widths)


@pytest.mark.parametrize('name', ['ecaresnext26t_32x4d', 'ecaresnet50d_pruned'])
def test_traced_export__gives_equal_features(name):
    backbone = ECAResNet(**VARIANTS[name]).eval()
    x = torch.randn(1, 3, 64, 64)
    traced = torch.jit.trace(backbone, x)
    for ours, theirs in zip(traced(x), backbone(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
