"""Allow the classes that mmengine's training state needs when a checkpoint is read."""

import pickle
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


def history_statistic(owner: Any, name: str) -> Any:
    """Return a statistic of ``HistoryBuffer``, the only use of ``getattr`` in mmengine's checkpoints.

    Raises:
        pickle.UnpicklingError: For any other object or name.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'GLOBAL getattr is refused for {owner!r}, {name!r}')


# mmengine 0.10 saves its loss history, which holds numpy arrays and names of statistics. None of these
# classes executes code from a file. Without them torch >= 2.6 refuses to resume, because the default of
# torch.load is weights_only=True.
_RECONSTRUCT, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
TRAINING_STATE = [
    HistoryBuffer,
    (history_statistic, 'builtins.getattr'),
    # numpy 2 renamed the module; each version must read the files of the other
    *[(_RECONSTRUCT, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')],
    *[(_SCALAR, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')],
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in '?bhilqBHILQefd'},
]


def allow_training_state() -> None:
    """Allow ``torch.load`` to read mmengine's training state in this process."""
    torch.serialization.add_safe_globals(TRAINING_STATE)
