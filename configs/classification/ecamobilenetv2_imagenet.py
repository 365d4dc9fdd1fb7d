_base_ = './_base_/mobilenetv2_imagenet.py'
model = dict(backbone=dict(eca_kernel_sizes='1111333'))
