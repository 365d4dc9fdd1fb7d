"""Convert weights between ECANet, timm, MMPretrain and mmdet: tools/convert_weights.py SRC DST"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints import convert_file, source_names, target_names


def parse_kernel_sizes(text):
    """Parse ECA kernel sizes: one digit applies to all stages, other values are passed to ``ECAResNet``."""
    return int(text) if text.isdecimal() and len(text) == 1 else text


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Convert a checkpoint of an ECA-Net, a plain ResNet or an mmdet 1.x ECA detector.'
    )
    parser.add_argument('src', help='checkpoint to read: .pth, .pth.tar, .safetensors, ...')
    parser.add_argument('dst', help='file to write, such as weights/eca_resnet50.pth or .safetensors')
    parser.add_argument(
        '--source',
        choices=source_names(),
        help='source format (default: detected from the tensors of SRC)',
    )
    parser.add_argument(
        '--weights',
        metavar='ENTRY',
        help='container of the weights in SRC, such as model_ema; needed if SRC has several',
    )
    parser.add_argument(
        '--to', default='mmdet', choices=target_names(), help='target format (default: mmdet)'
    )
    parser.add_argument(
        '--eca-kernel-sizes',
        metavar='SIZES',
        type=parse_kernel_sizes,
        help='kernel sizes of the ECA layers to add if SRC has no attention: 3557, 5, adaptive, ..., or none '
        'to add no ECA (default: those of the released network of the same depth; none with --to mmpretrain)',
    )
    parser.add_argument('--overwrite', action='store_true', help='overwrite DST if it exists')
    args = parser.parse_args(argv)
    with user_errors():
        print(
            convert_file(
                args.src, args.dst, args.overwrite, args.source, args.to, args.eca_kernel_sizes, args.weights
            )
        )


if __name__ == '__main__':
    main()
