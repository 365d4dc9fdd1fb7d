_base_ = [
    './_base_/faster_rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    './_base_/schedule_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='ECAResNet',
        depth=50,
        eca_kernel_sizes='3557',
        init_cfg=dict(type='Pretrained', checkpoint='weights/eca_resnet50_k3557.pth'),
    )
)
val_evaluator = dict(type='FastCocoMetric')
test_evaluator = val_evaluator
