"""Train and evaluate a Panoptic FPN with tools/train.py and tools/test.py on drawn images."""

import json
import re

import pytest
from conftest import ROOT, load_tool
from panoptic_data import CLASSES, METAINFO, make_panoptic

train, evaluate = load_tool('train').main, load_tool('test').main
CONFIG = f"""
_base_ = '{ROOT}/configs/panoptic_fpn_ecanet50_fpn_1x.py'
{METAINFO}
loader = dict(num_workers=0, persistent_workers=False, dataset=dict(metainfo=metainfo))
train_dataloader = dict(loader)
val_dataloader = dict(loader)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
heads = dict(num_things_classes=2, num_stuff_classes=2)
model = dict(
    backbone=dict(depth=18, eca_kernel_sizes='3577', init_cfg=None, frozen_stages=-1, norm_eval=False),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(
        bbox_head=dict(num_classes=2, fc_out_channels=64),
        mask_head=dict(num_classes=2, num_convs=1),
    ),
    semantic_head=dict(heads),
    panoptic_fusion_head=dict(heads),
    train_cfg=dict(rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(max_per_img=8), panoptic=dict(stuff_area_limit=1)),
)
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Train one iteration, and validate. Return the options of both tools, the checkpoint and the log."""
    work = tmp_path_factory.mktemp('panoptic')
    data = make_panoptic(work / 'data', train=2, val=2)
    (work / 'config.py').write_text(CONFIG)
    places = (
        'train_dataloader.dataset.pipeline.2',
        *(f'{s}_dataloader.dataset.pipeline.1' for s in ('val', 'test')),
    )
    scales = [f'{place}.scale=(64,64)' for place in places]
    more = ['--work-dir', str(work), '--cfg-options', f'data_root={data}', *scales]
    train([str(work / 'config.py'), *more])
    return [str(work / 'config.py'), str(work / 'epoch_1.pth')], more, work


def test_train__logs_the_losses_of_all_heads_and_validates(trained):
    _, _, work = trained
    log = ''.join(path.read_text() for path in work.glob('*/*.log'))
    assert all(name in log for name in ('loss_rpn_cls', 'loss_bbox', 'loss_mask', 'loss_seg'))
    assert 'coco_panoptic/PQ_st' in log
    assert 'computes in channels_last' not in log  # the heads are not known to read it


def test_test__reports_panoptic_quality_and_draws_every_image(trained, tmp_path, capsys):
    arguments, more, _ = trained
    shown = tmp_path / 'shown'
    evaluate([*arguments, '--classwise', '--show-dir', str(shown), '--out', str(tmp_path / 'a.json'), *more])
    content = json.loads((tmp_path / 'a.json').read_text())
    (kind,) = content['results']
    assert kind == 'panoptic'
    assert set(content['results'][kind]['per_class']) == set(CLASSES)
    assert {'PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st'} <= set(content['results'][kind])
    assert content['images'] == 2
    printed = capsys.readouterr().out
    assert re.search(r'\| +\| +PQ \| +SQ \| +RQ \|\n.*\n\| panoptic all', printed)
    assert {path.name for path in shown.iterdir()} == {'1.jpg', '2.jpg'}


def test_test__draws_images_without_any_segment(trained, tmp_path, capsys):
    arguments, more, _ = trained
    nothing = ['model.test_cfg.rcnn.score_thr=1.0', 'model.test_cfg.panoptic.stuff_area_limit=99999']
    evaluate([*arguments, '--show-dir', str(tmp_path / 'shown'), *more, *nothing])
    assert len(list((tmp_path / 'shown').iterdir())) == 2
    assert 'every AP or PQ on 2 images is below 0.0005' in capsys.readouterr().out
