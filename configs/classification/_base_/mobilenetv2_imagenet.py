# The recipe of the paper for MobileNetV2 (arXiv 1910.03151, section 4.1; github.com/BangguWu/ECANet,
# light_main.py): 400 epochs, batch size 96, learning rate 0.045 times 0.98 per epoch, dropout 0.25.
_base_ = ['./imagenet.py', './runtime.py', 'mmpretrain::_base_/schedules/imagenet_bs256_epochstep.py']
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ECAMobileNetV2', out_indices=(7,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='DropoutLinearClsHead',
        dropout=0.25,
        num_classes=1000,
        in_channels=1280,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
train_dataloader = dict(batch_size=96)
train_cfg = dict(max_epochs=400)
auto_scale_lr = dict(enable=True, base_batch_size=96)
