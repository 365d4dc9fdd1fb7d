"""Build the model of a config before the run, to report settings that cannot work."""

import logging
from copy import deepcopy
from typing import Any, List, Optional

from mmdet.models import FPN, SingleStageDetector, StandardRoIHead, TwoStageDetector
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.task_modules import AnchorGenerator
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
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


def check_train_cfg(model: Optional[nn.Module]) -> None:
    """Check that mmdet's two-stage detectors and anchor-based single-stage detectors have a ``train_cfg``.

    Raises:
        ValueError: If the loss of the model needs ``train_cfg``, and it is not set.
    """
    if not getattr(model, 'train_cfg', None) and _loss_needs_train_cfg(model):
        raise ValueError(
            f'model.train_cfg is {getattr(model, "train_cfg", None)}, but {type(model).__name__} needs the '
            'assigners and samplers in it for training. Remove the option, or inherit train_cfg from a base '
            'config in mmdet::_base_/models/'
        )


def _loss_needs_train_cfg(model: Any) -> bool:
    """Whether a model is known to need ``train_cfg``. Custom losses are not known."""
    loss = getattr(type(model), 'loss', None)
    if loss is TwoStageDetector.loss:
        roi_head = getattr(model, 'roi_head', None)
        return model.with_rpn or getattr(type(roi_head), 'loss', None) is StandardRoIHead.loss
    if loss is SingleStageDetector.loss:
        methods = ('loss_by_feat', 'get_targets', '_get_targets_single')
        head = type(model.bbox_head)
        is_anchor_head = all(getattr(head, name, None) is getattr(AnchorHead, name) for name in methods)
        return is_anchor_head and not hasattr(model.bbox_head, 'assigner')
    return False


def check_anchor_levels(model: Optional[nn.Module]) -> None:
    """Check that the anchor generator has one stride for each output of the neck.

    This applies to mmdet's ``FPN``, ``AnchorHead`` and ``AnchorGenerator``, and to subclasses that use their
    methods.

    Raises:
        ValueError: If the numbers differ.
    """
    neck: Any = getattr(model, 'neck', None)
    if getattr(type(neck), 'forward', None) is not FPN.forward:
        return
    for detector, name in ((TwoStageDetector, 'rpn_head'), (SingleStageDetector, 'bbox_head')):
        head = getattr(model, name, None)
        generator: Any = getattr(head, 'prior_generator', None)
        is_known = (
            getattr(type(model), 'extract_feat', None) is detector.extract_feat
            and getattr(type(head), 'forward', None) is AnchorHead.forward
            and getattr(type(generator), 'grid_priors', None) is AnchorGenerator.grid_priors
        )
        if is_known and generator.num_levels != neck.num_outs:
            raise ValueError(
                f'model.{name}.anchor_generator.strides has {generator.num_levels} values, but model.neck '
                f'has {neck.num_outs} outputs. Set one stride for each output of the neck'
            )
