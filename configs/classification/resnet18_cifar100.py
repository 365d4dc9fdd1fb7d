_base_ = ['./_base_/resnet18_cifar.py', 'mmpretrain::_base_/datasets/cifar100_bs16.py']
model = dict(head=dict(num_classes=100))
data_root = 'data/cifar100/'
# The challenge normalises with ImageNet's mean and standard deviation.
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
train_dataloader = dict(batch_size=128, num_workers=4, dataset=dict(data_root=data_root))
val_dataloader = dict(batch_size=128, num_workers=4, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
