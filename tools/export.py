"""Export a model to ONNX: tools/export.py CONFIG CHECKPOINT OUT.onnx"""

import argparse

from eca_mmdet.apis import user_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Export a detector, segmentation model or image classifier to an ONNX file of standard '
        'operators.',
        epilog='example: python tools/export.py configs/mask_rcnn_ecanet18_fpn_shapes.py '
        'work_dirs/demo/epoch_9.pth model.onnx --check docs/demo.jpg',
    )
    parser.add_argument('config', nargs='?', help='file or name; not needed if the checkpoint has its config')
    parser.add_argument('checkpoint', help='checkpoint of tools/train.py or tools/convert_weights.py')
    parser.add_argument('out', help='file to write, such as model.onnx')
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='input size, to which images are padded (default: the file takes every size)',
    )
    parser.add_argument(
        '--paste-masks', action='store_true', help='masks of the size of the image instead of 28 x 28'
    )
    parser.add_argument(
        '--check', nargs='+', default=[], metavar='IMAGE', help='compare the file with torch on these images'
    )
    parser.add_argument(
        '--int8',
        metavar='FOLDER',
        help='quantise convolutions and fully connected layers with the values on 50 images of FOLDER',
    )
    parser.add_argument('--overwrite', action='store_true', help='overwrite OUT if it exists')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        from eca_mmdet.export.export_file import describe_differences, export_file

        print(f'exporting {args.checkpoint} ...', flush=True)
        differences = export_file(
            args.config,
            args.checkpoint,
            args.out,
            tuple(args.size) if args.size else None,
            args.paste_masks,
            args.check,
            args.int8,
            args.overwrite,
        )
    for line in describe_differences(differences):
        print(line)
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
