# Images of single shapes: tools/make_class_folders.py shapes data/single_shapes
_base_ = ['./_base_/resnet.py', './_base_/folders.py', './_base_/schedule_scratch.py', './_base_/runtime.py']
data_root = 'data/single_shapes/'
model = dict(backbone=dict(depth=18), head=dict(num_classes=3, in_channels=512))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=4)
default_hooks = dict(logger=dict(interval=10))
