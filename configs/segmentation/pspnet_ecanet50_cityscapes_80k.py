_base_ = ['./_base_/pspnet.py', './_base_/cityscapes_80k.py']
model = dict(data_preprocessor=dict(size=(512, 1024)))
