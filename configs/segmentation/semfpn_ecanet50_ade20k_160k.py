_base_ = ['./_base_/semfpn.py', './_base_/ade20k_160k.py']
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)
