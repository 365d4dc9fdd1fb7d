_base_ = './mask_rcnn_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint='weights/ecaresnet101d.pth'),
    ),
)
