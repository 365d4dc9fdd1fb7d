_base_ = './_base_/resnet_imagenet.py'
model = dict(backbone=dict(eca_kernel_sizes='3557'))
