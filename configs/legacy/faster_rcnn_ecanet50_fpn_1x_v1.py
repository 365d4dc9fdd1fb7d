# Boxes as in mmdet 1.x, for the released detector: see eca_mmdet/mmdet1_boxes.py.
# (mmengine takes no package folder with a dot in its name, hence `_base_/..`.)
_base_ = ['mmdet::_base_/../legacy_1.x/faster-rcnn_r50_fpn_1x_coco_v1.py', '../_base_/hooks.py']
model = dict(
    # No ImageNet weights were released with these sizes: start from the converted detector (load_from).
    backbone=dict(type='ECAResNet', depth=50, eca_kernel_sizes='5555', init_cfg=None),
    rpn_head=dict(
        anchor_generator=dict(type='Legacy1xAnchorGenerator'),
        bbox_coder=dict(type='Legacy1xBBoxCoder'),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(type='Legacy1xRoIExtractor'),
        bbox_head=dict(bbox_coder=dict(type='Legacy1xBBoxCoder')),
    ),
)
# The rate for two images, as in ../_base_/schedule_1x.py; the detector was trained at 0.01 for eight.
optim_wrapper = dict(optimizer=dict(lr=0.0025))
auto_scale_lr = dict(enable=True, base_batch_size=2)
val_evaluator = dict(type='FastCocoMetric')
test_evaluator = val_evaluator
