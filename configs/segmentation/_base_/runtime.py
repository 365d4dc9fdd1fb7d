_base_ = 'mmseg::_base_/default_runtime.py'
custom_imports = dict(imports=['eca_mmdet', 'eca_mmdet.segmentation'], allow_failed_imports=False)
custom_hooks = [
    dict(type='LearningRateHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='SafeResumeHook'),
    dict(type='LoadedWeightsHook'),
]
sync_bn = 'torch'  # the Runner converts BN to SyncBN if the training is distributed
