"""The whole way in a few minutes on a CPU: make data, train, evaluate, look at pictures."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CONFIG = TOOLS.parent / 'configs/mask_rcnn_ecanet18_fpn_shapes.py'
WANTED = 0.55  # bbox and segm AP


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Train and evaluate an ECA Mask R-CNN on drawn shapes.')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (default: %(default)s)')
    parser.add_argument('--epochs', type=int, help="default: the config's")
    parser.add_argument('--min-ap', type=float, default=WANTED, help='fail below it (default: %(default)s)')
    return parser.parse_args(argv)


def run(title, tool, *arguments):
    """Run one tool as a user would, showing the command and what it prints."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    print(f'\n=== {title}\n$ {" ".join(["python", "tools/" + tool, *command[2:]])}', flush=True)
    begin = time.time()
    result = subprocess.run(command)
    if result.returncode:
        sys.exit(f'demo: {tool} failed with exit code {result.returncode}, see above')
    return time.time() - begin


def main(argv=None):
    args = parse_args(argv)
    work = args.work_dir
    data = work / f'shapes_{args.train}_{args.val}'
    options = ['--cfg-options', f'data_root={data}']
    training = list(options)
    if args.epochs:
        training += [f'train_cfg.max_epochs={args.epochs}', f'train_cfg.val_interval={args.epochs}']
    seconds = run('1 of 3: draw the data', 'make_shapes.py', data, '--train', args.train, '--val', args.val)
    seconds += run('2 of 3: train', 'train.py', CONFIG, '--work-dir', work, '--seed', 0, *training)
    checkpoint = Path((work / 'last_checkpoint').read_text().strip())
    pictures = work / 'pictures'
    test = [CONFIG, checkpoint, '--work-dir', work, '--show-dir', pictures, *options]
    shown = 'default_hooks.visualization.score_thr=0.5'
    seconds += run('3 of 3: evaluate', 'test.py', *test, shown)

    results = json.loads((work / 'results.json').read_text())['results']
    aps = {kind: results.get(kind, {}).get('AP') or 0.0 for kind in ('bbox', 'segm')}
    print(
        f"""
=== Done in {seconds / 60:.1f} minutes: bbox AP {aps['bbox']:.3f}, segm AP {aps['segm']:.3f} (drawn shapes)
data         {data}
checkpoint   {checkpoint}
results      {work}/results.json
pictures     {work}/overview.jpg, all in {pictures} (left ground truth, right predictions)
Next: README.md, "Use it on COCO", or another kernel size:
  python tools/train.py {CONFIG} --cfg-options data_root={data} model.backbone.eca_kernel_sizes=3333"""
    )
    if min(aps.values()) < args.min_ap:
        sys.exit(f'demo: expected at least {args.min_ap} for both')


if __name__ == '__main__':
    main()
