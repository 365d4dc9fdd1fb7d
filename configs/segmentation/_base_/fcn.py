# mmseg's FCN with output stride 8, on ECA-ResNet-50 with trained BN.
_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        type='ECAResNet',
        eca_kernel_sizes='3557',
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='weights/eca_resnet50_k3557.pth'),
    ),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
