"""Time backbones, or detectors with them, as ratios to mmdet's ResNet: tools/benchmark.py --out speed.json"""

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
from benchmarks.models import KINDS, OPTIONS, available

from eca_mmdet.apis import user_errors
from eca_mmdet.apis.dict_action import SpaceKeepingDictAction
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
    parser = argparse.ArgumentParser(description='Time backbones, or detectors with them, side by side.')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--detector', metavar='CONFIG', help='time this detector with each backbone')
    what.add_argument('--profile', metavar='CONFIG', help='where the time of this detector goes on a CPU')
    what.add_argument(
        '--loading', metavar='CONFIG', help='train this on drawn shapes; the share of data loading'
    )
    what.add_argument(
        '--tail', action='store_true', help='time the end of a block; ratios to the least that memory allows'
    )
    what.add_argument('--convolutions', action='store_true', help='time 3x3 convolutions on a CPU')
    parser.add_argument(
        '--models',
        nargs='+',
        help=f'of {", ".join(KINDS)}, each with any of {", ".join("+" + o for o in OPTIONS)}; '
        'stock, stock+channels_last and naive+channels_last are added',
    )
    parser.add_argument('--modes', nargs='+', choices=MODES, help='what to measure')
    parser.add_argument('--sizes', nargs='*', type=image_size, default=[(320, 480)], help='HEIGHTxWIDTH')
    parser.add_argument(
        '--changing', type=image_size, metavar='SIZE', help='also another size each round, at most SIZE'
    )
    parser.add_argument('--batches', nargs='+', type=count, default=[2], help='images in a batch')
    parser.add_argument('--depth', type=int, choices=(18, 34, 50, 101, 152), default=50, help='of backbones')
    parser.add_argument('--frozen-stages', type=int, choices=range(-1, 5), default=1, help='of backbones')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpaceKeepingDictAction, help='override parts of CONFIG'
    )
    parser.add_argument('--repeats', type=count, default=10, help='rounds that count')
    parser.add_argument('--warmup', type=count, default=2, help='rounds before them')
    parser.add_argument('--threads', type=count, help='threads of torch on the CPU')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--plot', metavar='FILE', help='picture of cost and ratios against image size')
    parser.add_argument('--overwrite', action='store_true', help='replace existing files')
    args = parser.parse_args(argv)
    if not args.sizes and (args.loading or not args.changing):
        parser.error('--sizes: give a size such as 320x480; only with --changing may there be none')
    if args.profile and (args.changing or args.device != 'cpu'):
        parser.error('--profile takes no --changing and runs on a CPU')
    if (args.tail or args.convolutions) and (args.models or args.modes or args.changing or args.plot):
        parser.error('--tail and --convolutions take no --models, --modes, --changing or --plot')
    return args


def measure(args):
    if args.loading:
        found = measure_loading(args.loading, args.cfg_options, args.repeats, args.warmup, args.sizes[0][0])
        return dict(loading=found)
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
    names = args.models or [name for name in MODELS_COMPARED if available(name)]
    return benchmark_backbones(names, cases, args.depth, args.frozen_stages, args.device, print)


def text_of(found):
    if 'loading' in found:
        return loading_text(found['loading'])
    return profile_text(found['profiles']) if 'profiles' in found else report_text(found['results'])


def main(argv=None):
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    with user_errors():
        for target in filter(None, (args.out, args.plot)):
            check_target(target, args.overwrite)
            check_machine(target)
        if args.device == 'cuda' and not torch.cuda.is_available():
            raise ValueError('--device cuda: torch sees no CUDA device here')
        facts = dict(command=command(), machine=machine(args.device))
        found = measure(args)
    print(text_of(found))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'settings': vars(args), **found}, indent=1) + '\n')
    if args.plot and not args.loading:
        draw, key = (plot_profile, 'profiles') if args.profile else (plot_results, 'results')
        draw(found[key], args.plot, facts['machine']['processor'])


if __name__ == '__main__':
    main()
