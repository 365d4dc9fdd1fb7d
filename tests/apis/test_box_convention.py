"""Check that a config uses the box convention of its checkpoint."""

import pytest

from eca_mmdet.apis import load_config
from eca_mmdet.apis.box_convention import check_box_convention

CURRENT, LEGACY = (
    load_config(f'eca_mmdet::{name}.py')
    for name in ('retinanet_ecanet50_fpn_1x', 'legacy/retinanet_ecanet50_fpn_1x_v1')
)


def mmengine_meta(cfg):
    """The metadata that mmengine saves with a checkpoint."""
    return dict(cfg=cfg.pretty_text, mmengine_version='0.10.7')


def converter_meta(name):
    return dict(detector=dict(config=name))


@pytest.mark.parametrize(
    ('meta', 'same', 'other'),
    [
        (dict(mmdet_version='1.0rc1+abc'), LEGACY, CURRENT),
        (dict(mmdet_version='2.25.0', config=CURRENT.pretty_text), CURRENT, LEGACY),
        (mmengine_meta(CURRENT), CURRENT, LEGACY),
        (mmengine_meta(LEGACY), LEGACY, CURRENT),
        (converter_meta('legacy/retinanet_ecanet50_fpn_1x_v1.py'), LEGACY, CURRENT),
        (converter_meta('retinanet_ecanet50_fpn_1x.py'), CURRENT, LEGACY),
    ],
)
def test_other_box_convention__is_rejected(meta, same, other):
    check_box_convention(same, meta, 'x.pth')
    with pytest.raises(ValueError, match=r'x\.pth was trained with the boxes of mmdet'):
        check_box_convention(other, meta, 'x.pth')


@pytest.mark.parametrize('meta', [None, 'text', {}, dict(cfg=dict(a=1)), dict(mmdet_version='2.1')])
def test_checkpoint_without_version__is_not_checked(meta):
    check_box_convention(CURRENT, meta, 'x.pth')
    check_box_convention(LEGACY, meta, 'x.pth')
