# Starts from an SE-ResNet-50 trained on ImageNet. The authors of ECA-Net released none. timm's seresnet50
# converts and has biases: --cfg-options model.backbone.attention.bias=True
_base_ = './retinanet_ecanet50.py'
model = dict(
    backbone=dict(
        attention=dict(type='SELayer', bias=False),
        init_cfg=dict(checkpoint='weights/se_resnet50.pth'),
    )
)
