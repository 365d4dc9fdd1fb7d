_base_ = './faster_rcnn_ecaresnet50d_fpn_1x.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ECAByobNet',
        variant='eca_resnext26ts',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='weights/eca_resnext26ts.pth'),
    ),
)
