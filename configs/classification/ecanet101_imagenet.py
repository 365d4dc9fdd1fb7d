_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(depth=101, eca_kernel_sizes='3357'))
