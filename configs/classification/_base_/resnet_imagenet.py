# The recipe of the paper (arXiv 1910.03151, section 4.1; github.com/BangguWu/ECANet, main.py) for every
# attention: 100 epochs, batch size 256, learning rate 0.1, divided by 10 at epochs 30, 60 and 90.
_base_ = ['./resnet.py', './imagenet.py', './runtime.py', 'mmpretrain::_base_/schedules/imagenet_bs256.py']
auto_scale_lr = dict(enable=True)
