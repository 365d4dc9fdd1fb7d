_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(attention='none'))
