"""Time the COCO evaluation backends: tools/benchmark_coco_eval.py --out coco_eval.json"""

import argparse
import json
from pathlib import Path

from benchmarks.coco_eval import benchmark_coco_eval, coco_eval_text
from benchmarks.machine_report import command, machine
from mmengine.logging import MMLogger

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints.io import check_target


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Time COCO evaluation with pycocotools and its replacements.'
    )
    parser.add_argument('--images', type=int, default=5000, help='images in the random ground truth')
    parser.add_argument('--detections', type=float, default=4.0, help='detections per annotation')
    parser.add_argument('--repeats', type=int, default=3, help='measured rounds')
    parser.add_argument('--warmup', type=int, default=1, help='warm-up rounds before them')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='overwrite an existing FILE')
    args = parser.parse_args(argv)
    if args.images < 1 or args.repeats < 1 or args.detections <= 0:
        parser.error('--images, --repeats and --detections must be positive')
    return args


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
    MMLogger.get_current_instance().setLevel('WARNING')  # mmdet logs every evaluation
    facts = dict(command=command(), machine=machine())
    results = benchmark_coco_eval(args.images, args.detections, args.repeats, args.warmup, log=print)
    print(coco_eval_text(results))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, **results}, indent=1) + '\n')


if __name__ == '__main__':
    main()
