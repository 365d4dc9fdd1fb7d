"""Continue the batches of an epoch or of an iteration-based run without loading those already trained on."""

from typing import Any, Dict, Iterator, List, Optional

from mmengine.registry import DATA_SAMPLERS
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler, DataLoader, Sampler

from .seeded_samples import SeededSampler


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler):
    """Yield the batches of another batch sampler, after skipping some of them as indices.

    Args:
        sampler: The sampler of single indices.
        batch_size: The batch size.
        batch_sampler: Config of the batch sampler; by default torch's.
        drop_last: Whether torch's batch sampler drops an incomplete last batch.
    """

    def __init__(
        self,
        sampler: SeededSampler,
        batch_size: int,
        batch_sampler: Optional[Dict[str, Any]] = None,
        drop_last: bool = False,
    ) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last
        self._config = batch_sampler
        self._started: Optional[Iterator[List[int]]] = None
        self._build()

    def _build(self) -> None:
        if self._config is None:
            self._batches: Any = BatchSampler(self.sampler, self.batch_size, self.drop_last)
        else:
            default = dict(sampler=self.sampler, batch_size=self.batch_size)
            self._batches = DATA_SAMPLERS.build(dict(self._config), default_args=default)
            self.batch_size = getattr(self._batches, 'batch_size', self.batch_size)

    def skip(self, count: int) -> int:
        """Start again, ``count`` batches later. Where the sampler ends, its next epoch follows.

        Returns:
            The number of epochs that were skipped completely.
        """
        self.sampler.restart()
        self._build()
        batches, epochs = iter(self._batches), 0
        for _ in range(count):
            if next(batches, None) is None:
                epochs += 1
                self.sampler.set_epoch(self.sampler.epoch + 1)
                batches = iter(self._batches)
                next(batches)
        self._started = batches
        return epochs

    def __iter__(self) -> Iterator[List[int]]:
        """Yield the batches of an epoch, or what is left of it after ``skip``."""
        started, self._started = self._started, None
        yield from started or self._batches

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return len(self._batches)


class ResumedIterator:
    """Endless batches after those that a run was trained on.

    mmengine's loop asks for all of these again. The answers are ``None``, at once.
    """

    def __init__(self, dataloader: DataLoader, trained: int) -> None:
        epochs = dataloader.batch_sampler.skip(trained)  # type: ignore[union-attr]
        self._iterator = _InfiniteDataloaderIterator(dataloader)
        self._iterator._epoch = epochs
        self._unanswered = trained

    def __iter__(self) -> 'ResumedIterator':
        return self

    def __next__(self) -> Any:
        """Return ``None`` for each batch already trained on, then batches."""
        if self._unanswered:
            self._unanswered -= 1
            return None
        return next(self._iterator)
