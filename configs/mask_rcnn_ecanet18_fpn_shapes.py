_base_ = [
    './_base_/mask_rcnn_ecanet18_fpn_scratch.py',
    './_base_/shapes_instance.py',
    './_base_/schedule_scratch.py',
    './_base_/default_runtime.py',
]
model = dict(
    # Square anchors of at least 12 pixels, about the size of the shapes.
    rpn_head=dict(anchor_generator=dict(scales=[3, 4.5], ratios=[1.0])),
    roi_head=dict(
        # For images of 160 pixels, finest_scale is 14 instead of 56, so that boxes are read from levels
        # whose cells see the whole object. Masks need fine levels and keep the default.
        bbox_roi_extractor=dict(finest_scale=14),
        bbox_head=dict(num_classes=3),
        mask_head=dict(num_classes=3, num_convs=3),  # enough for such simple outlines
    ),
    # An image has one to seven shapes.
    train_cfg=dict(rpn_proposal=dict(max_per_img=100), rcnn=dict(sampler=dict(num=64, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(max_per_img=100)),
)
train_cfg = dict(max_epochs=4, val_interval=4)
default_hooks = dict(logger=dict(interval=20))
