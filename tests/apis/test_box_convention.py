"""The boxes of a config beside those that a checkpoint was trained with."""

import pytest

from eca_mmdet.apis import load_config
from eca_mmdet.apis.box_convention import check_box_convention

LATER, LEGACY = (
    load_config(f'eca_mmdet::{name}.py')
    for name in ('retinanet_ecanet50_fpn_1x', 'legacy/retinanet_ecanet50_fpn_1x_v1')
)


def of_config(cfg):
    """As mmengine saves it."""
    return dict(cfg=cfg.pretty_text, mmengine_version='0.10.7')


def converted(name):
    return dict(detector=dict(config=name))


@pytest.mark.parametrize(
    ('meta', 'fits', 'differs'),
    [
        (dict(mmdet_version='1.0rc1+abc'), LEGACY, LATER),
        (dict(mmdet_version='2.25.0', config=LATER.pretty_text), LATER, LEGACY),
        (of_config(LATER), LATER, LEGACY),
        (of_config(LEGACY), LEGACY, LATER),
        (converted('legacy/retinanet_ecanet50_fpn_1x_v1.py'), LEGACY, LATER),
        (converted('retinanet_ecanet50_fpn_1x.py'), LATER, LEGACY),
    ],
)
def test_boxes_of_another_convention__are_refused(meta, fits, differs):
    check_box_convention(fits, meta, 'x.pth')
    with pytest.raises(ValueError, match=r'x\.pth was trained with the boxes of mmdet'):
        check_box_convention(differs, meta, 'x.pth')


@pytest.mark.parametrize('meta', [None, 'text', {}, dict(cfg=dict(a=1)), dict(mmdet_version='2.1')])
def test_checkpoint_that_does_not_say__is_not_checked(meta):
    check_box_convention(LATER, meta, 'x.pth')
    check_box_convention(LEGACY, meta, 'x.pth')
