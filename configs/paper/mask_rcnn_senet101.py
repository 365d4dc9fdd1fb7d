# Needs an SE-ResNet trained on ImageNet (the authors released none). If it has biases: attention.bias=True.
_base_ = './mask_rcnn_ecanet101.py'
model = dict(
    backbone=dict(
        attention=dict(type='SELayer', bias=False),
        init_cfg=dict(checkpoint='weights/se_resnet101.pth'),
    )
)
