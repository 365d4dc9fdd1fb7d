"""Convert Pascal VOC's XML files to COCO: tools/voc_to_coco.py data/VOC2007"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.apis.errors import USER_ERRORS


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Write train.json, val.json and test.json for a folder with XML files of Pascal VOC, '
        'labelImg or Roboflow. Then train with tools/train.py CONFIG --data FOLDER.',
        epilog='example: python tools/voc_to_coco.py data/VOC2007',
    )
    parser.add_argument('src', help='folder with Annotations/, with train/ and valid/, or with XML files')
    parser.add_argument('--out', help='output folder (default: src); images stay where they are')
    parser.add_argument('--classes', nargs='+', help='classes in this order (default: all, sorted)')
    parser.add_argument(
        '--zero-based', action='store_true', help='coordinates count from 0 (default: from 1, as in VOC)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace existing files')
    args = parser.parse_args(argv)
    with user_errors((*USER_ERRORS, ImportError)):
        from eca_mmdet.datasets.convert_voc import convert_voc

        lines = convert_voc(args.src, args.out, args.classes, args.zero_based, args.overwrite)
    print('\n' + '\n'.join(lines))


if __name__ == '__main__':
    main()
