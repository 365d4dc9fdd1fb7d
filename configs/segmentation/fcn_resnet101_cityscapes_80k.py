_base_ = './fcn_ecanet101_cityscapes_80k.py'
model = dict(backbone=dict(attention='none', init_cfg=dict(checkpoint='torchvision://resnet101')))
