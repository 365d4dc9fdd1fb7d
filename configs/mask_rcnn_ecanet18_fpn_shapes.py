_base_ = [
    './_base_/mask_rcnn_ecanet18_fpn_scratch.py',
    './_base_/shapes_instance.py',
    './_base_/schedule_scratch.py',
    './_base_/default_runtime.py',
]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=3), mask_head=dict(num_classes=3)),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),  # an image has two to seven shapes
)
train_cfg = dict(max_epochs=3, val_interval=3)
default_hooks = dict(logger=dict(interval=20))
