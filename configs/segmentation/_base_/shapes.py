# The dataset of tools/make_shapes.py: images of 160 pixels. Crowd regions (255) are ignored.
_base_ = './image_masks.py'
data_root = 'data/shapes/'
dataset = dict(
    data_root=data_root,
    metainfo=dict(
        classes=('background', 'circle', 'square', 'triangle'),
        palette=[[70, 70, 70], [230, 70, 70], [70, 130, 230], [240, 200, 60]],
    ),
)
train_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='train2017', seg_map_path='semantic/train2017'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
            ),
            dict(type='PackSegInputs'),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(**dataset, data_prefix=dict(img_path='val2017', seg_map_path='semantic/val2017'))
)
test_dataloader = val_dataloader
