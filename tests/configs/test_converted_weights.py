"""Load the converted released weights into the backbone of every config."""

import re
from pathlib import Path

import format_examples
import pytest
import torch
from mmdet1_reference import SIZES, detector_1x
from mmengine.config import Config
from mmengine.registry import MODELS
from reference import official_checkpoint
from reference_mobilenet import official_checkpoint as mobilenet_checkpoint

from eca_mmdet.backbones import BYOBNET, VARIANTS
from eca_mmdet.checkpoints import convert
from eca_mmdet.checkpoints.detector_configs import config_name

ROOT = Path(__file__).resolve().parents[2] / 'configs'
FROM_SCRATCH = {
    'faster_rcnn_ecanet18_fpn_small.py',
    'mask_rcnn_ecanet18_fpn_small.py',
    'mask_rcnn_ecanet18_fpn_nuclei.py',
    'mask_rcnn_ecanet18_fpn_shapes.py',
}
LEGACY = {config_name(*detector, legacy=True): detector for detector in SIZES}
PRUNED = dict(ecaresnet50d_pruned=2022, ecaresnet101d_pruned=2042)  # inputs of the classifier


@pytest.fixture(autouse=True)
def _no_values(monkeypatch):
    """Replace random values by zeros, since only names and shapes matter in these tests."""
    for name in ('rand', 'randn'):
        monkeypatch.setattr(torch, name, lambda *shape, generator=None, dtype=None: torch.zeros(*shape))


def distinct_backbones():
    """Return the name of the first config and the backbone config of each distinct backbone."""
    backbones = {}
    for path in sorted(ROOT.rglob('*.py')):
        name = path.relative_to(ROOT).as_posix()
        if not {'_base_', 'classification', 'segmentation'} & {*path.parts} and name not in FROM_SCRATCH:
            backbone = Config.fromfile(path).model.backbone
            backbones.setdefault(name if name in LEGACY else str(backbone), (name, backbone))
    return backbones.values()


def converted_weights(name, backbone):
    """Build a checkpoint in the released format and return its converted tensors."""
    if name in LEGACY:
        conversion = convert(detector_1x(*LEGACY[name]), 'detector-1.x')
        assert conversion.detector.config == name
        start = 'backbone.'
        return {k[len(start) :]: v for k, v in conversion.state_dict.items() if k.startswith(start)}
    checkpoint = backbone.init_cfg.checkpoint
    if checkpoint.startswith('torchvision://'):  # as it is
        weights = format_examples.plain(
            depth=int(checkpoint.removeprefix('torchvision://resnet')), width=2048
        )
        return {key: value for key, value in weights.items() if not key.startswith('fc.')}
    if checkpoint == 'weights/eca_mobilenetv2_k13.pth':
        return convert(mobilenet_checkpoint()).state_dict
    if official := re.fullmatch(r'weights/eca_resnet(\d+)_k(\d{4})\.pth', checkpoint):
        sizes = tuple(map(int, official[2]))
        return convert(official_checkpoint(int(official[1]), sizes=sizes)).state_dict
    if 'se_resnet' in checkpoint:
        source = format_examples.timm(depth=backbone.depth, attention=dict(type='SELayer', bias=True))
        return convert(source).state_dict
    network = Path(checkpoint).stem
    if network in BYOBNET.variants:
        return convert(format_examples.byob(network)).state_dict
    return convert(format_examples.timm(PRUNED.get(network, 2048), **VARIANTS[network])).state_dict


def test_converted_weights__load_strictly_into_the_backbone_of_every_config():
    loaded = []
    for name, backbone in distinct_backbones():
        if backbone.init_cfg and 'se_resnet' in backbone.init_cfg.checkpoint:
            backbone.attention.bias = True  # as in timm; the paper's authors released no SE-ResNets
        with torch.device('meta'):
            model = MODELS.build({**backbone, 'init_cfg': None})
        try:
            model.load_state_dict(converted_weights(name, backbone), strict=True, assign=True)
        except (ValueError, RuntimeError) as error:
            pytest.fail(f'{name}: {error}')
        loaded.append(name)
    # 5 depths, MobileNetV2, 8 of timm, 6 detectors, 2 plain ResNets, 2 SE-ResNets
    assert len(loaded) == 24, loaded
