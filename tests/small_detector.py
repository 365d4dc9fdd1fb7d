"""Options that make a Mask R-CNN of the shapes small and its runs short."""

from conftest import ROOT

CONFIG = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
MODEL = {
    'model.backbone.base_channels': 8,
    'model.neck.in_channels': [8, 16, 32, 64],
    'model.roi_head.bbox_head.fc_out_channels': 32,
    'model.roi_head.mask_head.num_convs': 1,
    'model.train_cfg.rpn_proposal.max_per_img': 32,
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 32,
}
DATA = {
    'train_dataloader.dataset.pipeline.2.scale': (64, 64),
    'val_dataloader.dataset.pipeline.1.scale': (64, 64),
    'test_dataloader.dataset.pipeline.1.scale': (64, 64),
    **{f'{split}_dataloader.num_workers': 0 for split in ('train', 'val', 'test')},
    **{f'{split}_dataloader.persistent_workers': False for split in ('train', 'val', 'test')},
}
SMALL = [f'{name}={value}'.replace(', ', ',') for name, value in {**MODEL, **DATA}.items()]
"""The same as arguments of ``--cfg-options``."""
