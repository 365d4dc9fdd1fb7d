_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(depth=34, eca_kernel_sizes='3357'), head=dict(in_channels=512))
