_base_ = './faster_rcnn_ecanet50_fpn_1x.py'
model = dict(
    backbone=dict(
        depth=18,
        eca_kernel_sizes='3577',
        init_cfg=dict(checkpoint='weights/eca_resnet18_k3577.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
