# Images of single shapes: tools/make_class_folders.py shapes data/single_shapes
_base_ = './ecanet18_digits.py'
data_root = 'data/single_shapes/'
model = dict(head=dict(num_classes=3))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
