_base_ = [
    './_base_/semfpn_ecanet18_scratch.py',
    './_base_/shapes.py',
    './_base_/schedule_scratch.py',
]
# Coarse levels, whose cells see a whole shape, have losses of their own.
coarse = dict(type='FCNHead', in_channels=64, channels=64, num_convs=1, concat_input=False, num_classes=4)
loss = dict(type='CrossEntropyLoss', loss_weight=0.5)
norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=(160, 160)),
    # In a few hundred iterations, norms that start at 0 hardly open the residual branches.
    backbone=dict(zero_init_residual=False),
    decode_head=dict(num_classes=4, dropout_ratio=0),
    auxiliary_head=[
        dict(**coarse, in_index=index, norm_cfg=norm_cfg, loss_decode=loss, dropout_ratio=0)
        for index in (2, 3)
    ],
)
iterations = 550
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=0.9, by_epoch=False, begin=20, end=iterations),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=iterations))
