_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(depth=18, eca_kernel_sizes='3577'), head=dict(in_channels=512))
