_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(depth=34, attention='none'), head=dict(in_channels=512))
