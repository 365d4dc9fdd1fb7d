"""Show runs on one HTML page: tools/report.py work_dirs/demo"""

import argparse
from pathlib import Path

from eca_mmdet.apis import user_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Write one HTML page about one or several runs: curves, results, images, differences.',
        epilog='example: python tools/report.py work_dirs/demo',
    )
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of tools/train.py or tools/test.py'
    )
    parser.add_argument(
        '--out', help='HTML file (default: WORK_DIR/report.html, report.html here for several runs)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        from eca_mmdet.report import read_runs
        from eca_mmdet.report.page import write_report

        runs = read_runs(args.work_dirs)
        path = write_report(runs, args.out or Path(runs[0].folder if len(runs) == 1 else '', 'report.html'))
    print(f'report: {path}')


if __name__ == '__main__':
    main()
