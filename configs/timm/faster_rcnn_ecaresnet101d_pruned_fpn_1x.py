_base_ = './faster_rcnn_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        depth=101,
        block_widths='ecaresnet101d_pruned',
        init_cfg=dict(checkpoint='weights/ecaresnet101d_pruned.pth'),
    ),
    neck=dict(in_channels=[26, 142, 278, 2042]),
)
