_base_ = './mask_rcnn_ecanet50_fpn_1x.py'
model = dict(
    backbone=dict(
        depth=34,
        eca_kernel_sizes='3357',
        init_cfg=dict(checkpoint='weights/eca_resnet34_k3357.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
