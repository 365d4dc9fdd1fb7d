_base_ = ['mmpretrain::_base_/default_runtime.py']
custom_imports = dict(imports=['eca_mmdet', 'eca_mmdet.classification'], allow_failed_imports=False)
custom_hooks = [
    dict(type='LearningRateHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='SafeResumeHook'),
    dict(type='LoadedWeightsHook'),
]
