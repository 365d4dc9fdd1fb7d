"""Measure time and memory of converting a checkpoint: tools/benchmark_conversion.py --out conversion.json"""

import argparse
import json
from pathlib import Path

from benchmarks.checkpoint_conversion import benchmark_conversion, conversion_text
from benchmarks.machine_report import command, machine

from eca_mmdet.apis import user_errors
from eca_mmdet.backbones import VARIANTS
from eca_mmdet.checkpoints.io import check_target


def main(argv=None):
    parser = argparse.ArgumentParser(description='Measure the time and memory of converting a checkpoint.')
    parser.add_argument(
        '--network', default='ecaresnet269d', choices=VARIANTS, help='network of the checkpoint'
    )
    parser.add_argument('--out', metavar='FILE', help='JSON file for the results')
    parser.add_argument('--overwrite', action='store_true', help='overwrite an existing FILE')
    args = parser.parse_args(argv)
    with user_errors():
        if args.out:
            check_target(args.out, args.overwrite)
    facts = dict(command=command(), machine=machine())
    records = benchmark_conversion(args.network)
    print(conversion_text(records))
    if args.out:
        Path(args.out).write_text(json.dumps({**facts, 'conversion': records}, indent=1) + '\n')


if __name__ == '__main__':
    main()
