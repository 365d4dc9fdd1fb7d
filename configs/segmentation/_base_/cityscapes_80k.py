# mmseg's schedule at the rate for one GPU with 2 images. Linear rule (arXiv 1706.02677): mmseg's 0.01 is for
# 4 GPUs with 2 images each, and automatic scaling gives it again there. The final rate, 1e-4, is not scaled.
_base_ = [
    'mmseg::_base_/datasets/cityscapes.py',
    'mmseg::_base_/schedules/schedule_80k.py',
    './runtime.py',
]
optimizer = dict(lr=0.0025)
optim_wrapper = dict(optimizer=optimizer)
auto_scale_lr = dict(enable=True, base_batch_size=2)
val_evaluator = dict(type='SegmentationMetric')
test_evaluator = val_evaluator
