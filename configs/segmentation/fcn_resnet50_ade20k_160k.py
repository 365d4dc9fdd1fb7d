_base_ = './fcn_ecanet50_ade20k_160k.py'
model = dict(backbone=dict(attention='none', init_cfg=dict(checkpoint='torchvision://resnet50')))
