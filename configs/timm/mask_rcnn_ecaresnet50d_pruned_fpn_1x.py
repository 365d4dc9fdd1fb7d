_base_ = './mask_rcnn_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        block_widths='ecaresnet50d_pruned',
        init_cfg=dict(checkpoint='weights/ecaresnet50d_pruned.pth'),
    ),
    neck=dict(in_channels=[19, 171, 818, 2022]),
)
