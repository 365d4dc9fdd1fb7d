"""Time RoIAlign on the CPU as ratios to mmcv's: tools/benchmark_roi_align.py --out roi_align.json"""

import argparse
import json
from pathlib import Path

from benchmarks.machine_report import check_machine, command, machine
from benchmarks.roi_align_timing import CASES, Case, benchmark_roi_align, roi_align_text

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints.io import check_target


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description="Time RoIAlign on the CPU as ratios to mmcv's operator.")
    parser.add_argument('--rois', type=int, default=512, help='RoIs of a batch of two images')
    parser.add_argument('--channels', type=int, default=256, help='channels of the features')
    parser.add_argument('--strides', type=int, nargs='+', help='pixels per cell')
    parser.add_argument('--output-sizes', type=int, nargs='+', help='bins along each axis')
    parser.add_argument('--sampling-ratios', type=int, nargs='+', help='samples of a bin, 0 for adaptive')
    parser.add_argument('--repeats', type=int, default=5, help='rounds that count')
    parser.add_argument('--warmup', type=int, default=1, help='rounds before them')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing FILE')
    args = parser.parse_args(argv)
    sizes = [args.rois, args.channels, args.repeats, *(args.strides or []), *(args.output_sizes or [])]
    if min(sizes) < 1 or args.warmup < 0 or min(args.sampling_ratios or [0]) < 0:
        parser.error('all numbers must be positive; --warmup and --sampling-ratios may be 0')
    if max(args.strides or [1]) > 320:
        parser.error('--strides: the images are 320 x 480 pixels, so a stride is at most 320')
    return args


def wanted_cases(args):
    """All combinations of what was asked for; by default those of ``CASES``."""
    asked = (args.strides, args.output_sizes, args.sampling_ratios)
    columns = [given or list(dict.fromkeys(default)) for given, default in zip(asked, zip(*CASES))]
    return [Case(a, b, c) for a in columns[0] for b in columns[1] for c in columns[2]]


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
            check_machine(args.out)
    facts = dict(command=command(), machine=machine())
    with user_errors():
        records = benchmark_roi_align(
            wanted_cases(args), args.rois, args.channels, args.repeats, args.warmup, log=print
        )
    print(roi_align_text(records))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'results': records}, indent=1) + '\n')


if __name__ == '__main__':
    main()
