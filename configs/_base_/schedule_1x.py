# Linear scaling rule (arXiv 1706.02677): 0.02 for 16 images, so 0.0025 for one GPU with two images.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'
optim_wrapper = dict(optimizer=dict(lr=0.0025))
auto_scale_lr = dict(enable=True, base_batch_size=2)
