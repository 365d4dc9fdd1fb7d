_base_ = [
    './_base_/semfpn_ecanet18_scratch.py',
    './_base_/shapes.py',
    './_base_/schedule_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(160, 160)),
    # In a few hundred iterations, norms that start at 0 hardly open the residual branches.
    backbone=dict(zero_init_residual=False),
    decode_head=dict(num_classes=4),
)
iterations = 450
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=0.9, by_epoch=False, begin=20, end=iterations),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=iterations))
