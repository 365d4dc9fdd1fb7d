# ECA-Net paper, section 4: batch 8 (4 GPUs x 2), rate 0.01; another batch scales it.
# 0.01 stands in the authors' file name too; it is twice mmdet's rate for RetinaNet, as the log will say.
_base_ = '../retinanet_ecanet50_fpn_1x.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
