# Weights from a modern ImageNet recipe are fine-tuned with AdamW. Optimizer, weight decay and learning rate
# (0.0002 for 16 images) are those of mmdet's "ResNet strikes back" configs (arXiv 2110.00476).
_base_ = ['mmdet::resnet_strikes_back/faster-rcnn_r50-rsb-pre_fpn_1x_coco.py', '../_base_/hooks.py']
model = dict(
    backbone=dict(
        type='ECAResNet',
        deep_stem=True,
        avg_down=True,
        eca_kernel_sizes='5557',
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='weights/ecaresnet50d.pth'),
    ),
    roi_head=dict(bbox_roi_extractor=dict(type='FastRoIExtractor')),
)
auto_scale_lr = dict(enable=True)
val_evaluator = dict(type='FastCocoMetric')
test_evaluator = val_evaluator
