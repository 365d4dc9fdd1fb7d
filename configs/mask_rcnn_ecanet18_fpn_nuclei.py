_base_ = [
    './_base_/mask_rcnn_ecanet18_fpn_scratch.py',
    './_base_/nuclei_instance.py',
    './_base_/schedule_scratch.py',
    './_base_/default_runtime.py',
]
# Images have many small and round nuclei, so use square anchors of at least 8 pixels and more proposals.
model = dict(
    # In a short training, norms that start at 0 hardly open the residual branches.
    backbone=dict(zero_init_residual=False),
    rpn_head=dict(anchor_generator=dict(scales=[2, 3.2, 5], ratios=[1.0])),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=500), rcnn=dict(score_thr=0.01)),
)
train_cfg = dict(max_epochs=7, val_interval=7)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
