_base_ = './deeplabv3plus_ecanet101_ade20k_160k.py'
model = dict(backbone=dict(attention='none', init_cfg=dict(checkpoint='torchvision://resnet101')))
