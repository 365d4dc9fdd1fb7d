"""Building a config's model before the run, to name the part that cannot be built."""

import logging
from copy import deepcopy
from typing import Optional

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..datasets.label_checks import parts
from ..meta_device import build_on_meta
from .build_checks import message


def build_model(cfg: Config) -> Optional[nn.Module]:
    """Build the config's model, on the meta device where it can be: without memory or initialisation.

    Returns:
        The model; none if it needs the processes of a launcher, which start later.

    Raises:
        ValueError: If it cannot be built at all.
    """
    try:
        return build_on_meta(cfg.model, cfg.get('default_scope', 'mmdet'))
    except Exception:  # not every model can be built there; the run builds it on the CPU
        try:
            return MODELS.build(deepcopy(cfg.model))
        except Exception as error:
            if cfg.get('launcher', 'none') != 'none' and 'process group' in str(error):
                print_log(f'The model was not checked: {error}', level=logging.WARNING)
                return None
            raise ValueError(message(_failed_part(cfg.model, error), error)) from None


def _failed_part(model: dict, error: Exception) -> str:
    """The innermost part whose constructor raised an error, by its name in the config."""
    kinds, trace = [], error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_name == 'build_from_cfg':
            kinds.append(trace.tb_frame.f_locals['cfg'].get('type'))
        trace = trace.tb_next
    paths = [path for path, node in parts(model, 'model') if kinds and node.get('type') == kinds[-1]]
    return ' or '.join(paths[:3]) or 'model'
