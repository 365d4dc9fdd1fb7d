# AdamW with a short warm-up and mmseg's polynomial decay, to zero.
_base_ = ['mmseg::_base_/schedules/schedule_20k.py', './runtime.py']
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05, fused=True)  # fused is faster on a CPU
optimizer = dict(_delete_=True, **adamw)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=adamw, clip_grad=dict(max_norm=10))
auto_scale_lr = dict(enable=True, base_batch_size=4)
