"""Time backbones side by side, as ratios to mmdet's ResNet: tools/benchmark.py --out speed.json"""

import argparse
import json
from pathlib import Path

import torch

from eca_mmdet.apis import user_errors
from eca_mmdet.benchmark import MODELS_COMPARED, benchmark_backbones, machine, report_text
from eca_mmdet.benchmark.models import KINDS, OPTIONS, available
from eca_mmdet.benchmark.report import command
from eca_mmdet.checkpoints.io import check_target


def image_size(text):
    try:
        height, width = (int(number) for number in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: a size is HEIGHTxWIDTH, such as 320x480') from None
    if min(height, width) < 32:
        raise argparse.ArgumentTypeError(f'{text!r}: height and width must be 32 or more')
    return height, width


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: needs a positive integer')
    return int(text)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Time backbones side by side.')
    parser.add_argument(
        '--models',
        nargs='+',
        default=[name for name in MODELS_COMPARED if available(name)],
        help=f'of {", ".join(KINDS)}, each with any of {", ".join("+" + o for o in OPTIONS)}',
    )
    modes = ('train', 'infer', 'memory')
    parser.add_argument('--modes', nargs='+', choices=modes, default=modes, help='what to measure')
    parser.add_argument('--sizes', nargs='+', type=image_size, default=[(320, 480)], help='HEIGHTxWIDTH')
    parser.add_argument('--batches', nargs='+', type=count, default=[2], help='images in a batch')
    parser.add_argument('--depth', type=int, choices=(18, 34, 50, 101, 152), default=50)
    parser.add_argument('--frozen-stages', type=int, choices=range(-1, 5), default=1)
    parser.add_argument('--repeats', type=count, default=10, help='rounds that count')
    parser.add_argument('--warmup', type=count, default=2, help='rounds before them')
    parser.add_argument('--threads', type=count, help='threads of torch on the CPU')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing FILE')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
        if args.device == 'cuda' and not torch.cuda.is_available():
            raise ValueError('--device cuda: torch sees no CUDA device here')
        facts = dict(command=command(), machine=machine(args.device))
        options = {key: getattr(args, key) for key in ('sizes', 'batches', 'modes', 'depth', 'frozen_stages')}
        found = benchmark_backbones(
            args.models, **options, repeats=args.repeats, warmup=args.warmup, device=args.device, log=print
        )
    print(report_text(found['results']))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'settings': vars(args), **found}, indent=1) + '\n')


if __name__ == '__main__':
    main()
