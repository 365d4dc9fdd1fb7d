model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ECAResNet',
        depth=50,
        out_indices=(3,),
        norm_eval=False,
        zero_init_residual=False,  # as in the training script of the released weights
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048, loss=dict(type='CrossEntropyLoss')),
)
