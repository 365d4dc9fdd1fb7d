"""Convert weights between ECANet, timm, MMPretrain and mmdet: tools/convert_weights.py SRC DST"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints import convert_file, source_names, target_names


def kernel_sizes(text):
    """``'5'`` is one size for all stages; longer texts are as in ``ECAResNet``."""
    return int(text) if text.isdecimal() and len(text) == 1 else text


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Convert a checkpoint of an ECA-Net, a plain ResNet or an old ECA detector.'
    )
    parser.add_argument('src', help='checkpoint to read: .pth, .pth.tar, .safetensors, ...')
    parser.add_argument('dst', help='file to write, such as weights/eca_resnet50.pth or .safetensors')
    parser.add_argument(
        '--source', choices=source_names(), help='format of SRC (default: recognised by its tensors)'
    )
    parser.add_argument(
        '--weights',
        metavar='ENTRY',
        help='entry of SRC that holds the weights, such as model_ema, where there are several',
    )
    parser.add_argument(
        '--to', default='mmdet', choices=target_names(), help='names to write (default: mmdet)'
    )
    parser.add_argument(
        '--eca-kernel-sizes',
        metavar='SIZES',
        type=kernel_sizes,
        help='sizes where SRC has no ECA: 3557, 5, adaptive, ... (default: the released ones of its depth)',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace DST if it exists')
    args = parser.parse_args(argv)
    with user_errors():
        print(
            convert_file(
                args.src, args.dst, args.overwrite, args.source, args.to, args.eca_kernel_sizes, args.weights
            )
        )


if __name__ == '__main__':
    main()
