# Data Science Bowl 2018, stage 1 (CC0), with the masks of tools/nuclei_to_coco.py.
_base_ = './image_masks.py'
data_root = 'data/nuclei/'
dataset = dict(
    data_root=data_root,
    metainfo=dict(
        classes=('background', 'nucleus'),
        palette=[[40, 40, 90], [250, 190, 60]],
    ),
)
train_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='train', seg_map_path='semantic/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=0.9),
            dict(
                type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
            ),
            dict(type='PackSegInputs'),
        ],
    )
)
val_dataloader = dict(dataset=dict(**dataset, data_prefix=dict(img_path='val', seg_map_path='semantic/val')))
test_dataloader = val_dataloader
