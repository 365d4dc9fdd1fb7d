# mmseg's schedule at the rate for one GPU with 4 images, for fine-tuning on a dataset of one's own.
_base_ = ['mmseg::_base_/schedules/schedule_20k.py', './runtime.py']
optimizer = dict(lr=0.0025)
optim_wrapper = dict(optimizer=optimizer)
auto_scale_lr = dict(enable=True, base_batch_size=4)
