"""Train and evaluate released configs on real COCO images. Skipped if the data is missing."""

import pytest
from conftest import ROOT, load_tool

from eca_mmdet.checkpoints import read_checkpoint

SMALL = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
         'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
         'train_dataloader.dataset.indices=4', 'val_dataloader.dataset.indices=2',
         'model.backbone.init_cfg=None', 'model.backbone.frozen_stages=-1']  # fmt: skip


@pytest.mark.parametrize('detector', ['mask_rcnn', 'retinanet'])  # Mask R-CNN has all parts of Faster R-CNN
def test_coco_mini__trains_evaluates_and_resumes(coco_mini, tmp_path, detector):
    scale = [
        'train_dataloader.dataset.pipeline.2.scale=(160,96)',
        'val_dataloader.dataset.pipeline.1.scale=(160,96)',
    ]
    config = str(ROOT / f'configs/{detector}_ecanet18_fpn_1x.py')
    arguments = [config, '--work-dir', str(tmp_path), '--cfg-options', f'data_root={coco_mini}', *SMALL]
    # After so little training, all scores are below the usual threshold.
    scale.append(f'model.test_cfg.{"" if detector == "retinanet" else "rcnn."}score_thr=0.0')
    if detector == 'mask_rcnn':  # narrow heads and fewer RoIs, which take most of the time
        scale += ['model.roi_head.bbox_head.fc_out_channels=64', 'model.train_cfg.rcnn.sampler.num=32']
        scale += ['model.train_cfg.rpn_proposal.max_per_img=100']
        scale += ['model.test_cfg.rpn.max_per_img=50', 'model.test_cfg.rcnn.max_per_img=10']
    train = load_tool('train').main
    train([*arguments, *scale, 'train_cfg.max_epochs=1'])
    train([*arguments, *scale, 'train_cfg.max_epochs=2', *['--resume']])
    checkpoint = read_checkpoint(tmp_path / 'epoch_2.pth')
    assert checkpoint['meta']['iter'] == 4
    assert 'coco/bbox_mAP' in ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
