_base_ = [
    './_base_/semfpn_ecanet18_scratch.py',
    './_base_/nuclei.py',
    './_base_/schedule_scratch.py',
]
model = dict(data_preprocessor=dict(size=(128, 128)), decode_head=dict(num_classes=2))
iterations = 1000
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, by_epoch=False, begin=50, end=iterations),
]
default_hooks = dict(checkpoint=dict(interval=iterations))
