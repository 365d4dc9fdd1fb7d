_base_ = [
    './_base_/semfpn_ecanet18_scratch.py',
    './_base_/shapes.py',
    './_base_/schedule_scratch.py',
]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(160, 160)),
    # In a few hundred iterations, norms that start at 0 hardly open the residual branches.
    backbone=dict(zero_init_residual=False),
    neck=dict(norm_cfg=norm_cfg),
    decode_head=dict(num_classes=4, dropout_ratio=0.0),
    # A loss on the coarsest level, which sees a whole shape and so tells squares from triangles.
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=64,
        in_index=3,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=4,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
)
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
auto_scale_lr = dict(base_batch_size=8)
iterations = 300
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=0.9, by_epoch=False, begin=20, end=iterations),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=iterations))
