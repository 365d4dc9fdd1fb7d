"""Convert YOLO's label files to COCO: tools/yolo_to_coco.py data/mine"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.apis.errors import USER_ERRORS


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Write train.json, val.json and test.json for a folder with YOLO labels (boxes or '
        'polygons). Then train with tools/train.py CONFIG --data FOLDER.',
        epilog='example: python tools/yolo_to_coco.py data/mine',
    )
    parser.add_argument('src', help='folder with data.yaml or classes.txt, images and labels')
    parser.add_argument('--out', help='output folder (default: src); images stay where they are')
    parser.add_argument('--classes', nargs='+', help='names of the classes (default: those of data.yaml)')
    parser.add_argument('--overwrite', action='store_true', help='replace existing files')
    args = parser.parse_args(argv)
    with user_errors((*USER_ERRORS, ImportError)):
        from eca_mmdet.datasets.convert_yolo import convert_yolo

        lines = convert_yolo(args.src, args.out, args.classes, args.overwrite)
    print('\n' + '\n'.join(lines))


if __name__ == '__main__':
    main()
