# ECA-Net paper, section 4: learning rate 0.01 for a batch of 8 (4 GPUs x 2), scaled for other batch sizes.
_base_ = '../faster_rcnn_ecanet50_fpn_1x.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
