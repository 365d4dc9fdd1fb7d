# scikit-learn's digits: tools/make_class_folders.py digits data/digits
_base_ = './ecanet18_shapes.py'
data_root = 'data/digits/'
model = dict(head=dict(num_classes=10))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),  # of images of 8 x 8 pixels
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=6)
