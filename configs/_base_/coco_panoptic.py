# COCO panoptic, read and evaluated without panopticapi, which is not on PyPI.
_base_ = 'mmdet::_base_/datasets/coco_panoptic.py'
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPanoptic'),
            dict(type='Resize', scale=(1333, 800), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(1333, 800), keep_ratio=True),
            dict(type='LoadPanoptic'),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            ),
        ]
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(type='PanopticMetric')
test_evaluator = val_evaluator
