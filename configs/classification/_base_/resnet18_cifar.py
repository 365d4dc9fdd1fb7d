# The recipe of the reproducibility challenge (github.com/digantamisra98/Reproducibilty-Challenge-ECANET,
# train_cifar.py): ImageNet's ResNet-18 with its 7x7 stem on images of 32 x 32 pixels, ECA sizes by eq. 12,
# batch size 128, learning rate 0.1, divided by 10 at epochs 100 and 150. Its notebook stops after 50 epochs:
# --cfg-options train_cfg.max_epochs=50. Another attention (none, se, cbam, triplet, ...):
# --cfg-options model.backbone.attention=se
_base_ = ['./resnet.py', './runtime.py', 'mmpretrain::_base_/schedules/cifar10_bs128.py']
model = dict(backbone=dict(depth=18, eca_kernel_sizes='adaptive'), head=dict(num_classes=10, in_channels=512))
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
auto_scale_lr = dict(enable=True)
