# ImageNet in data/imagenet/{train,val}/CLASS/IMAGE. Labels may also come from meta/{train,val}.txt there,
# with "IMAGE LABEL" per line. Pillow resizes the images, as in the training of the released weights.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py']
data_root = 'data/imagenet/'
train_dataloader = dict(
    batch_size=256, num_workers=16, persistent_workers=True, dataset=dict(data_root=data_root)
)
val_dataloader = dict(
    batch_size=64, num_workers=8, persistent_workers=True, dataset=dict(data_root=data_root)
)
test_dataloader = val_dataloader
