"""Plot the AP of detectors after each epoch: tools/benchmark_pretraining.py OUT NAME=WORK_DIR ..."""

import argparse
import json
from pathlib import Path

from benchmarks.machine_report import machine
from benchmarks.pretraining import plot_curves, read_curve

from eca_mmdet.apis import user_errors


def parse_run(text):
    name, separator, folder = text.partition('=')
    if not separator:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=WORK_DIR')
    return name, folder


def main(argv=None):
    parser = argparse.ArgumentParser(description='Compare the AP of trained detectors after each epoch.')
    parser.add_argument('out', help='file to write without its suffix; .json and .png are added')
    parser.add_argument('runs', nargs='+', type=parse_run, metavar='NAME=WORK_DIR')
    parser.add_argument(
        '--command', action='append', default=[], help='a command that was run, for the record'
    )
    args = parser.parse_args(argv)
    with user_errors():
        runs = {name: read_curve(folder) for name, folder in args.runs}
        record = dict(commands=args.command, machine=machine(), runs=runs)
        Path(f'{args.out}.json').write_text(json.dumps(record, indent=2) + '\n')
        plot_curves(runs, f'{args.out}.png')


if __name__ == '__main__':
    main()
