_base_ = './pspnet_ecanet50_cityscapes_80k.py'
model = dict(
    backbone=dict(
        depth=101,
        eca_kernel_sizes='3357',
        init_cfg=dict(checkpoint='weights/eca_resnet101_k3357.pth'),
    )
)
