_base_ = './fcn_ecanet50_cityscapes_80k.py'
model = dict(backbone=dict(attention='none', init_cfg=dict(checkpoint='torchvision://resnet50')))
