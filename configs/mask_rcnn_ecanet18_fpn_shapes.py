_base_ = [
    './_base_/mask_rcnn_ecanet18_fpn_scratch.py',
    './_base_/shapes_instance.py',
    './_base_/schedule_scratch.py',
    './_base_/default_runtime.py',
]
model = dict(
    # Square anchors from 12 pixels on, about as large as the shapes.
    rpn_head=dict(anchor_generator=dict(scales=[3, 4.5], ratios=[1.0])),
    roi_head=dict(
        # Images of 160 pixels: boxes of 14 pixels (usually 56) come from the finest level, larger ones
        # from where a cell sees all of them. Masks need the fine levels and keep the usual 56.
        bbox_roi_extractor=dict(finest_scale=14),
        bbox_head=dict(num_classes=3),
        mask_head=dict(num_classes=3, num_convs=3),  # outlines this simple need no four
    ),
    # One to seven shapes an image.
    train_cfg=dict(rpn_proposal=dict(max_per_img=100), rcnn=dict(sampler=dict(num=64, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(max_per_img=100)),
)
train_cfg = dict(max_epochs=4, val_interval=4)
default_hooks = dict(logger=dict(interval=20))
