_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(depth=18, attention='se'), head=dict(in_channels=512))
