"""Load each sample with random numbers of its own, which depend on its place in the training only.

The sampler attaches a key to every index, the dataset seeds the random generators with it. Indices and
order stay those of the sampler of the config.
"""

from typing import Any, Dict, Iterator, Optional, Tuple

import numpy as np
from mmengine.dist import get_rank, sync_random_seed
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from .counted_randomness import seed_sample


class SampleIndex(int):
    """The index of a sample with the key of its random numbers."""

    key: Tuple[int, ...] = ()


@DATA_SAMPLERS.register_module()
class SeededSampler(Sampler):
    """Yield the indices of another sampler as ``SampleIndex``.

    Args:
        dataset: The dataset.
        sampler: Config of the sampler.
        seed: The seed of the run; ``None`` for one that differs between runs.
    """

    def __init__(self, dataset: Any, sampler: Dict[str, Any], seed: Optional[int] = None) -> None:
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self._config = sampler
        self.restart()

    def restart(self) -> None:
        """Build the sampler again. An ``InfiniteSampler`` would continue where it was interrupted."""
        default = dict(dataset=self.dataset, seed=self.seed)
        self._sampler = DATA_SAMPLERS.build(dict(self._config), default_args=default)
        self.set_epoch(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines order and random numbers."""
        self.epoch = epoch
        if hasattr(self._sampler, 'set_epoch'):
            self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        """Yield indices with the key (seed, epoch, rank, position). Other things than indices stay."""
        start = (self.seed, self.epoch, get_rank())
        for position, index in enumerate(self._sampler):
            if isinstance(index, (int, np.integer)):
                index = SampleIndex(index)
                index.key = (*start, position)
            yield index

    def __len__(self) -> int:
        """Return the number of samples of an epoch."""
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        if name == '_sampler':
            raise AttributeError(name)
        return getattr(self._sampler, name)


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Seed the random generators before loading a sample. Everything else is that of the dataset.

    Args:
        dataset: Config of the dataset, or the dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self.__dict__['_dataset'] = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getitem__(self, index: int) -> Any:
        """Load a sample. Indices that are not from ``SeededSampler`` seed nothing."""
        if isinstance(index, SampleIndex):
            seed_sample(index.key)
            index = int(index)
        return self._dataset[index]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        if name == '_dataset':
            raise AttributeError(name)
        return getattr(self.__dict__['_dataset'], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._dataset, name, value)
