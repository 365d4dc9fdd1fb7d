_base_ = './faster_rcnn_ecanet50_fpn_1x.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ECAMobileNetV2',
        eca_kernel_sizes='13',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='weights/eca_mobilenetv2_k13.pth'),
    ),
    neck=dict(in_channels=[24, 32, 96, 1280]),
)
