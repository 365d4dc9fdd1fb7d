_base_ = './_base_/mobilenetv2_imagenet.py'
model = dict(backbone=dict(attention='se'))
