# Config of the released mmdet 1.x detector, with the box conventions of eca_mmdet/mmdet1_boxes.py.
# mmengine cannot resolve `mmdet::legacy_1.x/...`, because the folder name has a dot; `_base_/..` avoids this.
_base_ = ['mmdet::_base_/../legacy_1.x/retinanet_r50_fpn_1x_coco_v1.py', '../_base_/hooks.py']
model = dict(
    # No ImageNet weights with these kernel sizes were released. Use the converted detector (load_from).
    backbone=dict(type='ECAResNet', depth=50, eca_kernel_sizes='3377', init_cfg=None),
    bbox_head=dict(
        anchor_generator=dict(type='Legacy1xAnchorGenerator'),
        bbox_coder=dict(type='Legacy1xBBoxCoder'),
    ),
)
# As in ../retinanet_ecanet50_fpn_1x.py, for two images. The name of the released file says 0.01 for eight.
optim_wrapper = dict(optimizer=dict(lr=0.00125))
auto_scale_lr = dict(enable=True, base_batch_size=2)
val_evaluator = dict(type='FastCocoMetric')
test_evaluator = val_evaluator
