# ECA-Net paper, section 4: batch 8 (4 GPUs x 2), rate 0.01; another batch scales it.
_base_ = '../mask_rcnn_ecanet101_fpn_1x.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
