# ImageNet as data/imagenet/{train,val}/CLASS/IMAGE, or with meta/{train,val}.txt ("IMAGE LABEL" per line)
# beside train/ and val/. Images are resized by Pillow as in torchvision, for which the released weights were
# trained.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py']
data_root = 'data/imagenet/'
train_dataloader = dict(
    batch_size=256, num_workers=16, persistent_workers=True, dataset=dict(data_root=data_root)
)
val_dataloader = dict(
    batch_size=64, num_workers=8, persistent_workers=True, dataset=dict(data_root=data_root)
)
test_dataloader = val_dataloader
