_base_ = [
    './_base_/semfpn_ecanet18_scratch.py',
    './_base_/coco_mini.py',
    './_base_/schedule_scratch.py',
]
model = dict(data_preprocessor=dict(size=(256, 256)), decode_head=dict(num_classes=133))
iterations = 200
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False, end=iterations)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=iterations // 2))
