_base_ = './faster_rcnn_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        deep_stem=False,
        stage_blocks=(1, 1, 11, 3),
        init_cfg=dict(checkpoint='weights/ecaresnetlight.pth'),
    ),
)
