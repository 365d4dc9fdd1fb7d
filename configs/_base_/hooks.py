custom_imports = dict(imports=['eca_mmdet'], allow_failed_imports=False)
custom_hooks = [
    dict(type='LearningRateHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='SafeResumeHook'),
    dict(type='LoadedWeightsHook'),
    dict(type='ChannelsLastHook'),
]
