"""Time backbones or whole detectors relative to mmdet's ResNet: tools/benchmark.py --out speed.json"""

import argparse
import json
from pathlib import Path

import torch
from benchmarks import (
    MODELS_COMPARED,
    Cases,
    benchmark_backbones,
    benchmark_convolutions,
    benchmark_detectors,
    benchmark_tail,
    machine,
    measure_loading,
    plot_profile,
    plot_results,
    profile_detectors,
    profile_text,
    report_text,
)
from benchmarks.cases import MODES
from benchmarks.machine_report import check_machine, command, loading_text
from benchmarks.models import KINDS, OPTIONS, is_available

from eca_mmdet.apis import user_errors
from eca_mmdet.apis.dict_action import SpaceKeepingDictAction
from eca_mmdet.checkpoints.io import check_target


def parse_image_size(text):
    try:
        height, width = (int(number) for number in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected HEIGHTxWIDTH, such as 320x480') from None
    if min(height, width) < 32:
        raise argparse.ArgumentTypeError(f'{text!r}: height and width must be 32 or more')
    return height, width


def parse_count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a positive integer')
    return int(text)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Compare the speed and memory of backbones or whole detectors.'
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument('--detector', metavar='CONFIG', help='time this detector with each backbone')
    target.add_argument('--profile', metavar='CONFIG', help='profile this detector on a CPU')
    target.add_argument(
        '--loading', metavar='CONFIG', help='measure the share of data loading when training on drawn shapes'
    )
    target.add_argument(
        '--tail', action='store_true', help='time block tails relative to the limit set by memory bandwidth'
    )
    target.add_argument('--convolutions', action='store_true', help='time 3x3 convolutions on a CPU')
    parser.add_argument(
        '--models',
        nargs='+',
        help=f'any of {", ".join(KINDS)}, each followed by any of {", ".join("+" + o for o in OPTIONS)}; '
        'stock, stock+channels_last and naive+channels_last are always added',
    )
    parser.add_argument('--modes', nargs='+', choices=MODES, help='what to measure')
    parser.add_argument(
        '--sizes',
        nargs='*',
        metavar='HEIGHTxWIDTH',
        type=parse_image_size,
        default=[(320, 480)],
        help='image sizes',
    )
    parser.add_argument(
        '--changing',
        type=parse_image_size,
        metavar='HEIGHTxWIDTH',
        help='add a case in which the image size changes every round, up to this size',
    )
    parser.add_argument('--batches', nargs='+', type=parse_count, default=[2], help='batch sizes')
    parser.add_argument(
        '--depth', type=int, choices=(18, 34, 50, 101, 152), default=50, help='depth of the backbones'
    )
    parser.add_argument(
        '--frozen-stages', type=int, choices=range(-1, 5), default=1, help='frozen stages of the backbones'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpaceKeepingDictAction, help='override entries of CONFIG'
    )
    parser.add_argument('--repeats', type=parse_count, default=10, help='measured rounds')
    parser.add_argument('--warmup', type=parse_count, default=2, help='warm-up rounds before them')
    parser.add_argument('--threads', type=parse_count, help='CPU threads of torch')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--plot', metavar='FILE', help='plot of cost and ratios over image size')
    parser.add_argument('--overwrite', action='store_true', help='overwrite existing files')
    args = parser.parse_args(argv)
    if not args.sizes and (args.loading or not args.changing):
        parser.error('--sizes: give a size such as 320x480; it may only be empty with --changing')
    if args.profile and (args.changing or args.device != 'cpu'):
        parser.error('--profile runs on a CPU and does not accept --changing')
    if (args.tail or args.convolutions) and (args.models or args.modes or args.changing or args.plot):
        parser.error('--tail and --convolutions do not accept --models, --modes, --changing or --plot')
    return args


def measure(args):
    if args.loading:
        height, _ = args.sizes[0]
        return dict(
            loading=measure_loading(args.loading, args.cfg_options, args.repeats, args.warmup, height)
        )
    modes = args.modes or (MODES[:2] if args.detector or args.profile else MODES)
    cases = Cases(args.sizes, args.batches, args.changing, modes, args.repeats, args.warmup)
    if args.tail:
        return dict(results=benchmark_tail(cases, args.device, print))
    if args.convolutions:
        return dict(results=benchmark_convolutions(cases, print))
    if args.profile:
        names = args.models or ['stock', 'ours']
        return dict(profiles=profile_detectors(args.profile, names, cases, args.cfg_options, print))
    if args.detector:
        names = args.models or ['naive', 'ours']
        return benchmark_detectors(args.detector, names, cases, args.cfg_options, args.device, print)
    names = args.models or [name for name in MODELS_COMPARED if is_available(name)]
    return benchmark_backbones(names, cases, args.depth, args.frozen_stages, args.device, print)


def results_text(content):
    if 'loading' in content:
        return loading_text(content['loading'])
    return profile_text(content['profiles']) if 'profiles' in content else report_text(content['results'])


def main(argv=None):
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    with user_errors():
        for path in filter(None, (args.out, args.plot)):
            check_target(path, args.overwrite)
            check_machine(path)
        if args.device == 'cuda' and not torch.cuda.is_available():
            raise ValueError('--device cuda: torch finds no CUDA device')
        facts = dict(command=command(), machine=machine(args.device))
        content = measure(args)
    print(results_text(content))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'settings': vars(args), **content}, indent=1) + '\n')
    if args.plot and not args.loading:
        draw, key = (plot_profile, 'profiles') if args.profile else (plot_results, 'results')
        draw(content[key], args.plot, facts['machine']['processor'])


if __name__ == '__main__':
    main()
