# scikit-learn's digits: tools/make_class_folders.py digits data/digits
_base_ = ['./_base_/resnet.py', './_base_/folders.py', './_base_/schedule_scratch.py', './_base_/runtime.py']
data_root = 'data/digits/'
model = dict(backbone=dict(depth=18), head=dict(num_classes=10, in_channels=512))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
default_hooks = dict(logger=dict(interval=10))
