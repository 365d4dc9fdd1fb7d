"""Build the model of a config before the run, to report settings that cannot work."""

import logging
from copy import deepcopy
from typing import Any, List, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import nn

from ..datasets.label_checks import iter_parts
from ..meta_device import build_on_meta
from .build_checks import build_error_message

_COMPONENTS = ('backbone', 'neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'anchor_generator')


def build_model(cfg: Config) -> Optional[nn.Module]:
    """Build the model of a config, if possible on the meta device, without memory or initialisation.

    Returns:
        The model, or ``None`` if it needs the processes of a launcher, which start later.

    Raises:
        ValueError: If the model cannot be built.
    """
    try:
        return build_on_meta(cfg.model, cfg.get('default_scope', 'mmdet'))
    except Exception:  # some models cannot be built on the meta device
        try:
            return MODELS.build(deepcopy(cfg.model))
        except Exception as error:
            if cfg.get('launcher', 'none') != 'none' and 'process group' in str(error):
                print_log(f'The model was not checked: {error}', level=logging.WARNING)
                return None
            raise ValueError(_failure_message(cfg.model, error)) from None


def _failure_message(model: dict, error: Exception) -> str:
    """Name the innermost part that could not be built, and the error."""
    built = _parts_in_traceback(error)
    parts = list(iter_parts(model, 'model'))
    part = built[-1] if built else {}
    if isinstance(part, dict):
        paths = [path for path, node in parts if built and node.get('type') == part.get('type')]
        return build_error_message(' or '.join(paths[:3]) or 'model', error)
    paths = [
        f'{path}.{name}'
        for path, node in parts
        for name in _COMPONENTS
        if name in node and node[name] == part
    ]
    return (
        f'{" or ".join(paths) or "a part of the model"} is {part!r}, not a dict(...). Remove the option, or '
        'set a dict with the type and arguments of the part'
    )


def _parts_in_traceback(error: Exception) -> List[Any]:
    """List the configs that were being built when the error was raised, outermost first."""
    found, trace = [], error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_name == 'build_from_cfg':
            found.append(trace.tb_frame.f_locals['cfg'])
        trace = trace.tb_next
    return found
