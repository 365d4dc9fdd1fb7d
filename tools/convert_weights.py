"""Bring released ECA weights into mmdet: tools/convert_weights.py SRC DST"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints import convert_file


def main(argv=None):
    parser = argparse.ArgumentParser(description='Convert an official ECANet checkpoint for mmdet.')
    parser.add_argument('src', help='official ImageNet checkpoint, depth 18, 34, 50, 101 or 152')
    parser.add_argument('dst', help='backbone file to write, such as weights/eca_resnet50_k3557.pth')
    parser.add_argument('--overwrite', action='store_true', help='replace DST if it exists')
    args = parser.parse_args(argv)
    with user_errors():
        print(convert_file(args.src, args.dst, args.overwrite))


if __name__ == '__main__':
    main()
