_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
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
# Half the learning rate of the other detectors, as in mmdet's RetinaNet configs.
optim_wrapper = dict(optimizer=dict(lr=0.00125))
val_evaluator = dict(type='FastCocoMetric')
test_evaluator = val_evaluator
