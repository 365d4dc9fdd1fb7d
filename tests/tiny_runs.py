"""Runs of a model with one layer, on a dataset that draws random numbers as augmentations do."""

import itertools
import random

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS
from mmengine.runner import Runner
from torch.utils.data import Dataset

_RUN_NUMBERS = itertools.count()  # mmengine needs a unique name for each run


class OneLayer(BaseModel):
    """A model that draws random numbers in its forward pass, as samplers of boxes and dropout do."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x, mode='loss'):
        if mode != 'loss':
            return [dict(score=value) for value in self.layer(x)]
        noise = torch.rand(len(x), 1) + random.random() + np.random.rand()
        return dict(loss=(self.layer(x) * noise).square().mean())


@DATASETS.register_module()
class RandomNumbers(Dataset):
    """Samples that hold their index and a number of each random generator."""

    METAINFO = dict(classes=('thing',))

    def __init__(self, length=10):
        self.length = length
        self.metainfo = dict(self.METAINFO)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        numbers = [float(index) / self.length, np.random.rand(), random.random() + torch.rand(()).item()]
        return dict(x=torch.tensor(numbers))

    def get_data_info(self, index):
        return dict(width=4 + index % 3, height=5)


def train_dataloader(length=10, batch_size=2, **options):
    return {
        **dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='RandomNumbers', length=length),
            collate_fn=dict(type='default_collate'),
        ),
        **options,
    }


def tiny_runner(work_dir, epochs=2, seed=3, checkpoint=None, **options):
    """Build a runner with mmengine's defaults and the given checkpoint hook."""
    torch.manual_seed(seed)  # for the initial weights
    hook = dict(dict(type='AtomicCheckpointHook', interval=1), **(checkpoint or {}))
    return Runner(
        **{
            **dict(
                model=OneLayer(),
                work_dir=str(work_dir),
                train_dataloader=train_dataloader(),
                train_cfg=dict(by_epoch=True, max_epochs=epochs),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
                default_hooks=dict(checkpoint=hook),
                randomness=dict(seed=seed),
                experiment_name=f'tiny{next(_RUN_NUMBERS)}',
            ),
            **options,
        }
    )


@METRICS.register_module()
class Rising(BaseMetric):
    """A metric that is better in every evaluation."""

    value = 0

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        Rising.value += 1
        return dict(acc=Rising.value)


def with_evaluation(**options):
    """Options of a run with an evaluation after every epoch."""
    loader = train_dataloader(sampler=dict(type='DefaultSampler', shuffle=False))
    return dict(val_dataloader=loader, val_evaluator=dict(type='Rising'), val_cfg={}, **options)
