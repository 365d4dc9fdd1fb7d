"""Time RoIAlign on the CPU relative to mmcv: tools/benchmark_roi_align.py --out roi_align.json"""

import argparse
import json
from itertools import product
from pathlib import Path

from benchmarks.machine_report import check_machine, command, machine
from benchmarks.roi_align_timing import CASES, Case, benchmark_roi_align, roi_align_text

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints.io import check_target


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description="Time RoIAlign on the CPU relative to mmcv's operator.")
    parser.add_argument('--rois', type=int, default=512, help='RoIs in a batch of two images')
    parser.add_argument('--channels', type=int, default=256, help='feature channels')
    parser.add_argument('--strides', type=int, nargs='+', help='image pixels per feature cell')
    parser.add_argument('--output-sizes', type=int, nargs='+', help='bins along each axis')
    parser.add_argument(
        '--sampling-ratios', type=int, nargs='+', help='samples per bin and axis, 0 for adaptive'
    )
    parser.add_argument('--repeats', type=int, default=5, help='measured rounds')
    parser.add_argument('--warmup', type=int, default=1, help='warm-up rounds before them')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='overwrite an existing FILE')
    args = parser.parse_args(argv)
    sizes = [args.rois, args.channels, args.repeats, *(args.strides or []), *(args.output_sizes or [])]
    if min(sizes) < 1 or args.warmup < 0 or min(args.sampling_ratios or [0]) < 0:
        parser.error('all numbers must be positive, except --warmup and --sampling-ratios, which may be 0')
    if max(args.strides or [1]) > 320:
        parser.error('--strides: must be at most 320, since the images have 320 x 480 pixels')
    return args


def select_cases(args):
    """Combine the requested strides, output sizes and sampling ratios; ``CASES`` has the defaults."""
    requested = (args.strides, args.output_sizes, args.sampling_ratios)
    values = [given or list(dict.fromkeys(default)) for given, default in zip(requested, zip(*CASES))]
    return [Case(*combination) for combination in product(*values)]


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
            check_machine(args.out)
    facts = dict(command=command(), machine=machine())
    with user_errors():
        records = benchmark_roi_align(
            select_cases(args), args.rois, args.channels, args.repeats, args.warmup, log=print
        )
    print(roi_align_text(records))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'results': records}, indent=1) + '\n')


if __name__ == '__main__':
    main()
