_base_ = './faster_rcnn_ecanet50_fpn_1x.py'
model = dict(
    backbone=dict(
        depth=152,
        eca_kernel_sizes='3357',
        init_cfg=dict(checkpoint='weights/eca_resnet152_k3357.pth'),
    ),
)
