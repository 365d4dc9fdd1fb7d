# A small Semantic FPN that trains from scratch on a CPU: ECA-ResNet-18 and narrow heads.
_base_ = './semfpn.py'
width = 64
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    backbone=dict(depth=18, eca_kernel_sizes='3577', init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=width),
    decode_head=dict(in_channels=[width] * 4, channels=width),
)
