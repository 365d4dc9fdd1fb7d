_base_ = './retinanet_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ECAByobNet',
        variant='eca_resnet33ts',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='weights/eca_resnet33ts.pth'),
    ),
    neck=dict(in_channels=[256, 512, 1536, 1536]),
)
