"""The few classes beside tensors and plain data that reading a checkpoint may build."""

import pickle
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


def history_statistic(owner: Any, name: str) -> Any:
    """The one use of ``getattr`` in mmengine's checkpoints: a statistic of ``HistoryBuffer``.

    Raises:
        pickle.UnpicklingError: For any other object or name.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'GLOBAL getattr is refused for {owner!r}, {name!r}')


# What a checkpoint of mmengine 0.10 holds beside tensors and plain data: its loss history, of
# numpy arrays and of the names of its statistics. None of these runs what a file chooses. Without
# them torch >= 2.6 refuses to resume (torch.load's default became weights_only=True).
_RECONSTRUCT, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
TRAINING_STATE = [
    HistoryBuffer,
    (history_statistic, 'builtins.getattr'),
    # numpy 2 renamed the module; files of both may be read by either
    *[(_RECONSTRUCT, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')],
    *[(_SCALAR, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')],
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in '?bhilqBHILQefd'},
]


def allow_training_state() -> None:
    """Let ``torch.load`` read mmengine's training state safely, for this process."""
    torch.serialization.add_safe_globals(TRAINING_STATE)
