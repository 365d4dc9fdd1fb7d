_base_ = './mask_rcnn_ecanet50_fpn_1x_v1.py'
model = dict(backbone=dict(depth=101, eca_kernel_sizes='3357'))
