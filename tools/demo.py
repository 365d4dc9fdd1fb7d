"""Run the whole workflow on a CPU in a few minutes: draw a dataset, train, evaluate, visualize."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from eca_mmdet.checkpoints import read_pointer

TOOLS = Path(__file__).resolve().parent
CONFIG = TOOLS.parent / 'configs/mask_rcnn_ecanet18_fpn_shapes.py'
MIN_AP = 0.55  # for both bbox and segm


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Train and evaluate an ECA Mask R-CNN on drawn shapes.')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (default: %(default)s)')
    parser.add_argument('--epochs', type=int, help='epochs to train (default: as in the config)')
    parser.add_argument(
        '--min-ap', type=float, default=MIN_AP, help='fail if an AP is lower (default: %(default)s)'
    )
    return parser.parse_args(argv)


def run(title, tool, *arguments):
    """Run a tool as a user would, print its command and output, and return the seconds it took."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    print(f'\n=== {title}\n$ {" ".join(["python", "tools/" + tool, *command[2:]])}', flush=True)
    begin = time.time()
    result = subprocess.run(command)
    if result.returncode:
        sys.exit(f'demo: {tool} failed with exit code {result.returncode}; see its output above')
    return time.time() - begin


def main(argv=None):
    args = parse_args(argv)
    work_dir = args.work_dir
    data = work_dir / f'shapes_{args.train}_{args.val}'
    options = ['--cfg-options', f'data_root={data}']
    train_options = list(options)
    if args.epochs:
        train_options += [f'train_cfg.max_epochs={args.epochs}', f'train_cfg.val_interval={args.epochs}']
    seconds = run('1 of 3: draw the data', 'make_shapes.py', data, '--train', args.train, '--val', args.val)
    seconds += run('2 of 3: train', 'train.py', CONFIG, '--work-dir', work_dir, '--seed', 0, *train_options)
    checkpoint = read_pointer(work_dir)
    show_dir = work_dir / 'pictures'
    test_arguments = [CONFIG, checkpoint, '--work-dir', work_dir, '--show-dir', show_dir, *options]
    seconds += run(
        '3 of 3: evaluate', 'test.py', *test_arguments, 'default_hooks.visualization.score_thr=0.5'
    )

    results = json.loads((work_dir / 'results.json').read_text())['results']
    aps = {task: results.get(task, {}).get('AP') or 0.0 for task in ('bbox', 'segm')}
    print(
        f"""
=== Done in {seconds / 60:.1f} minutes: bbox AP {aps['bbox']:.3f}, segm AP {aps['segm']:.3f} (drawn shapes)
data         {data}
checkpoint   {checkpoint}
results      {work_dir}/results.json
overview     {work_dir}/overview.jpg
all images   {show_dir} (left: ground truth, right: predictions)
Next: see "Use it on COCO" in README.md, or try other kernel sizes:
  python tools/train.py {CONFIG} --cfg-options data_root={data} model.backbone.eca_kernel_sizes=3333"""
    )
    if min(aps.values()) < args.min_ap:
        sys.exit(f'demo: both APs must be at least {args.min_ap}')


if __name__ == '__main__':
    main()
