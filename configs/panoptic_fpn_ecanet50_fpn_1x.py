_base_ = [
    './_base_/panoptic_fpn_r50.py',
    './_base_/coco_panoptic.py',
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
