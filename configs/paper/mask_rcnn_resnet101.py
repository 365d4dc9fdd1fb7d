_base_ = './mask_rcnn_ecanet101.py'
model = dict(backbone=dict(attention='none', init_cfg=dict(checkpoint='torchvision://resnet101')))
