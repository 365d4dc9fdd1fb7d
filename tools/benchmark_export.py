"""Compare torch, onnxruntime and OpenVINO: tools/benchmark_export.py CONFIG CHECKPOINT --ann FILE ..."""

import argparse
import json
from pathlib import Path

import torch
from benchmarks.exported_models import BACKENDS, benchmark_exported, exported_text
from benchmarks.machine_report import command, machine

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints.io import check_target
from eca_mmdet.environment import installed
from eca_mmdet.export.exportable import require_onnx


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Measure time per image and AP of a detector with torch, onnxruntime and OpenVINO in '
        'float32 and int8, on the same images in one run.',
        epilog='example: python tools/benchmark_export.py configs/mask_rcnn_ecanet18_fpn_nuclei.py '
        'work_dirs/mask_rcnn_ecanet18_fpn_nuclei/epoch_12.pth --ann '
        'data/nuclei/annotations/val.json --images data/nuclei/val --int8-images data/nuclei/train',
    )
    parser.add_argument('config', help='config of a detector: file or name')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('--ann', required=True, metavar='FILE', help='COCO annotation file')
    parser.add_argument('--images', required=True, metavar='DIR', help='folder of its images')
    parser.add_argument(
        '--int8-images', required=True, metavar='DIR', help='folder of training images for the quantisation'
    )
    parser.add_argument('--limit', type=int, default=0, help='number of images (default: all)')
    parser.add_argument('--backends', nargs='+', choices=BACKENDS, default=BACKENDS, help='default: all')
    parser.add_argument('--threads', type=int, help="number of threads (default: torch's)")
    parser.add_argument('--out', metavar='OUT', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='overwrite OUT if it exists')
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
        require_onnx('onnxruntime')
        facts = dict(command=command(), machine=machine())
        facts['machine']['packages'] += list(filter(None, map(installed, ('onnxruntime', 'openvino'))))
        results = benchmark_exported(
            args.config, args.checkpoint, args.ann, args.images, args.int8_images, args.limit, args.backends
        )
    print('\n' + exported_text(results))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, **results}, indent=1) + '\n')


if __name__ == '__main__':
    main()
