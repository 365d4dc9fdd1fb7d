_base_ = './retinanet_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        stem_channels=(24, 32, 64),
        init_cfg=dict(checkpoint='weights/ecaresnet50t.pth'),
    ),
)
