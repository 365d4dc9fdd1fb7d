"""Kill a training at random moments, resume it until it is done, and compare it with an uninterrupted run.

    python tests/kill_harness.py --task detection --kills 50 --out docs/reliability/detection.json

A life is one process that resumes the training. It is forked from this one, which has imported everything.
A third of the lives die at a random moment, a third while a checkpoint is written (at a random byte, or
between two of its steps), a third in an evaluation. When a training is done, the next one begins, until the
number of kills is reached. Every training must end with the weights, the averaged weights, the optimizer and
the schedules of the uninterrupted one, bit for bit.
"""

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import cv2  # noqa: E402
import torch  # noqa: E402
from mmengine.config import config as mmengine_config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.runner import ValLoop  # noqa: E402
from mmengine.runner import runner as mmengine_runner  # noqa: E402

from eca_mmdet import atomic_write  # noqa: E402
from eca_mmdet.apis import (  # noqa: E402
    add_weights_hooks,
    build_runner,
    load_config,
    resume_from,
    use_atomic_checkpoints,
)
from eca_mmdet.checkpoints import latest, read_checkpoint  # noqa: E402
from eca_mmdet.datasets import make_shapes  # noqa: E402
from eca_mmdet.engine import atomic_backend  # noqa: E402

ITERATIONS = 18
COMPARED = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'accumulated_gradients')
TRAINING = {
    'custom_hooks': [dict(type='LearningRateHook'), dict(type='NonFiniteLossHook'), dict(type='EMAHook')],
    'optim_wrapper.accumulative_counts': 2,
    'randomness': dict(seed=7, deterministic=True),
    'train_dataloader.batch_size': 2,
    'log_level': 'WARNING',
}
CHECKPOINT = dict(type='CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=2, save_best='auto')


def detection_config(folder):
    """A small Mask R-CNN of the shapes: epochs of four iterations, checkpoints within them."""
    from small_detector import CONFIG, DATA, MODEL

    data = make_shapes(folder / 'shapes', train=8, val=3, size=64)
    epochs = dict(max_epochs=ITERATIONS // 4 + 1, val_interval=1)
    checkpoint = dict(CHECKPOINT, rule='greater')
    options = {f'train_cfg.{name}': value for name, value in epochs.items()}
    cfg = load_config(CONFIG, {'data_root': str(data), **MODEL, **DATA, **TRAINING, **options})
    cfg.default_hooks.checkpoint = checkpoint
    return cfg


def segmentation_config(folder):
    """A small Semantic FPN, trained by iterations."""
    from mask_data import write_config, write_dataset

    root = write_dataset(folder / 'masks')
    options = {f'{split}_dataloader.{name}': value for split in ('train', 'val', 'test')
               for name, value in (('num_workers', 0), ('persistent_workers', False))}  # fmt: skip
    loop = {'train_cfg.max_iters': ITERATIONS, 'train_cfg.val_interval': 4}
    path = write_config(folder, root)
    width = {'model.backbone.base_channels': 8, 'model.neck.in_channels': [8, 16, 32, 64]}
    cfg = load_config(str(path), {**options, **loop, **width, **TRAINING})
    cfg.default_hooks.checkpoint = CHECKPOINT
    return cfg


CONFIGS = dict(detection=detection_config, segmentation=segmentation_config)


def train(cfg, work_dir, exact):
    """Train as ``tools/train.py --resume`` does, without its checks, which take longer than the training."""
    cfg = deepcopy(cfg)
    cfg.work_dir = str(work_dir)
    cfg.exact_resume = exact
    init_default_scope(cfg.default_scope)
    resume_from(cfg, 'auto')
    add_weights_hooks(cfg)
    use_atomic_checkpoints(cfg)
    build_runner(cfg).train()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class DyingFile:
    """A file whose writer is killed after a part of the first write."""

    def __init__(self, file, share):
        self.file, self.share = file, share

    def write(self, content):
        self.file.write(content[: int(len(content) * self.share)])
        self.file.flush()
        die()


def die_while_writing(call, share):
    """Be killed in the given call of ``write_atomically``, for checkpoints and for the pointer."""
    original, calls = atomic_write.write_atomically, []

    def write(path, save):
        calls.append(path)
        if len(calls) == call:
            original(path, lambda file: save(DyingFile(file, share)))
        original(path, save)

    atomic_backend.write_atomically = latest.write_atomically = write


def die_around(owner, name, call, is_before):
    """Be killed right before or after the given call of a function."""
    original, calls = getattr(owner, name), []

    def function(*arguments, **options):
        calls.append(name)
        if len(calls) == call and is_before:
            die()
        result = original(*arguments, **options)
        if len(calls) == call:
            die()
        return result

    setattr(owner, name, function)


def plan(kind, chance, seconds):
    """Choose how a life ends. Returns a description, a function for the child, seconds for the parent."""
    if kind == 'moment':
        after = chance.uniform(0.1, 1) * seconds
        return f'after {after:.2f} s', lambda: None, after
    if kind == 'evaluation':
        call, is_before = chance.randint(1, 4), chance.random() < 0.5
        return f'evaluated batch {call}', lambda: die_around(ValLoop, 'run_iter', call, is_before), None
    call, share, step = (
        chance.randint(2, 6),
        chance.random(),
        chance.choice(['byte'] * 3 + ['replace', 'fsync']),
    )
    if step == 'byte':
        return f'file {call}, {share:.3f} of it', lambda: die_while_writing(call, share), None
    is_before = chance.random() < 0.5
    text = f'{"before" if is_before else "after"} {step} {call}'
    return text, lambda: die_around(os, step, call, is_before), None


def live(cfg, work_dir, log, exact, prepare=lambda: None, kill_after=None):
    """Run one life. Returns whether it was killed.

    Raises:
        RuntimeError: If it ended with an error.
    """
    child = os.fork()
    if not child:
        try:
            for handle in (1, 2):
                os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), handle)
            prepare()
            train(cfg, work_dir, exact)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    end = time.time() + (kill_after or 1e9)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.time() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f'a life ended with an error:\n{Path(log).read_text()[-3000:]}')
    return False


def final_state(work_dir):
    """Return what must be equal: the state of the last checkpoint."""
    checkpoint = read_checkpoint(latest.read_pointer(work_dir))
    state = {name: checkpoint[name] for name in COMPARED if name in checkpoint}
    return {**state, 'iter': checkpoint['meta']['iter']}


def differences(first, second, path=''):
    """List what differs between two states, with the largest difference of tensors."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.shape == second.shape and torch.equal(first, second):
            return []
        return [(path, float((first.double() - second.double()).abs().max()))]
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return [d for key in first for d in differences(first[key], second[key], f'{path}.{key}')]
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        pairs = enumerate(zip(first, second))
        return [d for index, (a, b) in pairs for d in differences(a, b, f'{path}.{index}')]
    return [] if first == second or (first != first and second != second) else [(path, None)]


def make_cheap():
    """Keep one thread, so that forking is safe, and skip what a run only logs."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    mmengine_config.FormatCode = lambda text, **options: (text, True)
    mmengine_runner.collect_env = lru_cache(mmengine_runner.collect_env)
    mmengine_runner.collect_env()


def run(task, kills, seed=0, exact=True, folder=None, report=lambda text: None):
    """Kill trainings of a task. Returns a summary for JSON."""
    make_cheap()
    folder = Path(folder or tempfile.mkdtemp())
    cfg, chance, log = CONFIGS[task](folder), random.Random(seed), folder / 'log.txt'
    begin = time.time()
    assert not live(cfg, folder / 'whole', log, exact)
    seconds, expected = time.time() - begin, final_state(folder / 'whole')
    ends, trainings = [], []
    while len(ends) < kills:
        work_dir, killed = folder / f'killed_{len(trainings)}', 0
        while True:
            kind = ('moment', 'write', 'evaluation')[len(ends) % 3]
            text, prepare, after = (
                plan(kind, chance, seconds) if len(ends) < kills else ('', lambda: None, None)
            )
            if not live(cfg, work_dir, log, exact, prepare, after):
                break
            ends.append(dict(kind=kind, where=text))
            killed += 1
            report(f'kill {len(ends)} of {kills}: {kind}, {text}')
        found = differences(expected, final_state(work_dir))
        for path in work_dir.glob('*.pth'):
            read_checkpoint(path)
        largest = max((value for _, value in found if value is not None), default=0.0)
        trainings.append(dict(kills=killed, differing=len(found), largest_difference=largest))
        report(f'training {len(trainings)}: {trainings[-1]} {found[:2] if found else ""}')
    kinds = {kind: sum(end['kind'] == kind for end in ends) for kind in ('moment', 'write', 'evaluation')}
    return dict(
        task=task,
        iterations=expected['iter'],
        seed=seed,
        exact_resume=exact,
        kills=len(ends),
        kills_by_kind=kinds,
        trainings=trainings,
        tensors_compared=count_tensors(expected),
        all_equal=not any(training['differing'] for training in trainings),
        ends=[f'{end["kind"]}: {end["where"]}' for end in ends],
    )


def count_tensors(node):
    """Count the tensors of a nested structure."""
    if isinstance(node, torch.Tensor):
        return 1
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    return sum(map(count_tensors, inner))


def processor():
    """Return the name of the processor."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--task', choices=sorted(CONFIGS), default='detection')
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--mmengine', action='store_true', help="draw random numbers and load batches in mmengine's way"
    )
    parser.add_argument('--out', type=Path, help='write the summary as JSON')
    args = parser.parse_args(argv)
    begin = time.time()
    with tempfile.TemporaryDirectory() as folder:
        summary = run(
            args.task, args.kills, args.seed, not args.mmengine, folder, lambda text: print(text, flush=True)
        )
    options = f'--task {args.task} --kills {args.kills} --seed {args.seed}{" --mmengine" * args.mmengine}'
    summary.update(
        command=f'python tests/kill_harness.py {options}',
        processor=processor(),
        torch=torch.__version__,
        minutes=round((time.time() - begin) / 60, 1),
    )
    text = json.dumps(summary, indent=1)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + '\n')
    print(f'{summary["kills"]} kills, all equal: {summary["all_equal"]}')
    sys.exit(0 if summary['all_equal'] or args.mmengine else 1)


if __name__ == '__main__':
    main()
