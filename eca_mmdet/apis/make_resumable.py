"""Prepare a run so that it can be interrupted and resumed without any difference in its result."""

from copy import deepcopy
from typing import Any, Dict

from mmengine.registry import DATASETS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import IterableDataset

from ..engine.hooks.exact_resume import ExactResumeHook, MissedEvaluationHook


def make_resumable(runner: Runner) -> None:
    """Make the training of a run exactly resumable, before it starts.

    The samples get random numbers of their own, and the batches can be skipped without loading images. The
    config stays as it is. Runs with a loop, runner or dataset of another kind stay as they are, and the log
    says so.

    ``exact_resume=False`` in the config turns this off: random numbers are then drawn as in mmengine.
    """
    loader = getattr(runner, '_train_dataloader', None)
    if runner.cfg.get('exact_resume', True) is False or not isinstance(loader, dict):
        return
    reason = _why_not(runner)
    if reason:
        runner.logger.warning(f'A resumed run will not be identical to an uninterrupted one: {reason}.')
        return
    runner._train_dataloader = resumable_dataloader(loader)
    runner.register_hook(ExactResumeHook())
    runner.register_hook(MissedEvaluationHook())


def resumable_dataloader(config: Dict[str, Any]) -> Dict[str, Any]:
    """Wrap dataset, sampler and batch sampler in the config of a data loader."""
    config = deepcopy(config)
    batches = dict(type='ResumableBatchSampler', batch_sampler=config.get('batch_sampler'))
    if 'drop_last' in config:
        batches['drop_last'] = config.pop('drop_last')
    return {
        **config,
        'dataset': dict(type='SeededDataset', dataset=config['dataset']),
        'sampler': dict(type='SeededSampler', sampler=config['sampler']),
        'batch_sampler': batches,
    }


def _why_not(runner: Runner) -> str:
    """Return why a run cannot be made resumable; empty if it can."""
    loop: Any = runner._train_loop or {}
    cls: Any = loop.get('type') if isinstance(loop, dict) else type(loop)
    cls = LOOPS.get(cls) if isinstance(cls, str) else cls
    if type(runner) is not Runner or cls not in (None, EpochBasedTrainLoop, IterBasedTrainLoop):
        return f'{(cls or type(runner)).__name__} is not a loop of mmengine'
    loader: Any = runner._train_dataloader
    dataset, sampler = loader.get('dataset'), loader.get('sampler')
    if not isinstance(dataset, dict) or not isinstance(sampler, dict):
        return 'train_dataloader has no configs of a dataset and a sampler'
    cls = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    if isinstance(cls, type) and issubclass(cls, IterableDataset):
        return f'{cls.__name__} has no indices'
    if 'Track' in str(sampler.get('type')) or 'batch_size' not in loader:
        return f'the batches of {sampler.get("type")} cannot be skipped'
    return ''
