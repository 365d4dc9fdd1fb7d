"""Count the parameters and operations of each part of a backbone or a detector.

Operations are counted by torch's ``FlopCounterMode``. It sees every dispatched operator, including those
outside of modules. It works on the meta device, so a detector at 1280x800 needs no memory or arithmetic.
mmengine's ``FlopAnalyzer`` traces with torch.jit, which fails on the meta device, and it has no formula for
ECA's pooling.

A ``Convention`` determines what counts as an operation in addition to multiply-adds.
"""

from copy import deepcopy
from typing import Any, Callable, Iterable, List, NamedTuple, Sequence, Tuple

import torch
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..layers import ATTENTIONS
from .conventions import BOXES, CONVENTIONS, MASKS, Convention, counter_formulas


class Part(NamedTuple):
    """Cost of a part of a network. The last two fields are the cost of its attention layers alone."""

    name: str
    parameters: int
    trainable: int
    operations: int
    attention_parameters: int
    attention_operations: int


class Cost(NamedTuple):
    """Cost of the parts of a network and of the whole network."""

    parts: List[Part]
    total: Part


class Classifier(nn.Module):
    """Add the global pooling and linear layer of an ImageNet classifier to a backbone.

    Args:
        backbone: Backbone with ``out_channels``.
        classes: Number of classes.
    """

    def __init__(self, backbone: BaseModule, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.out_channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` to scores ``(N, classes)``."""
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def count_cost(model: nn.Module, shape: Sequence[int], convention: Convention = CONVENTIONS['macs']) -> Cost:
    """Count the parameters of a network and the operations for one image.

    Args:
        model: Backbone, ``Classifier``, single-stage detector, or two-stage detector with a
            ``StandardRoIHead`` or ``CascadeRoIHead``. It is not changed. A model on the meta device
            needs no memory.
        shape: Height and width of the image in pixels.
        convention: What counts as an operation.

    Returns:
        The cost of each part. Stages are named as in mmdet (``layer1``); all layers before them are the
        stem.

    Raises:
        ValueError: If the model is another kind of detector, does not accept such an image, or has an
            operator that cannot run on the meta device.
    """
    counter = FlopCounterMode(display=False, custom_mapping=counter_formulas(convention))
    model = deepcopy(model).to('meta')
    model.eval()  # not chained, since train() of mmdet's backbones returns None
    runner = _MetaRunner(model)
    try:
        with torch.no_grad(), counter:
            runner(torch.empty(1, 3, *shape, device='meta'))
    except RuntimeError as error:  # the image is too small, or an operator of mmcv has no meta kernel
        raise ValueError(
            f'{type(model).__name__} cannot run on the meta device at {shape[0]}x{shape[1]}: {error}'
        ) from None
    operations = {
        name: sum(by_operator.values()) // 2 for name, by_operator in counter.get_flop_counts().items()
    }
    return _split_by_part(
        model, lambda path: operations.get(f'_MetaRunner.model.{path}' if path else 'Global', 0)
    )


class _MetaRunner(nn.Module):
    """Run one forward pass on the meta device. As a module, it gives the counter the names of its parts."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        if isinstance(model, TwoStageDetector):
            is_supported = type(model.roi_head) in (StandardRoIHead, CascadeRoIHead)
            is_supported = is_supported and not model.roi_head.with_shared_head
        else:
            is_supported = isinstance(model, SingleStageDetector) or not isinstance(model, BaseDetector)
        if not is_supported:
            raise ValueError(
                f'{type(model).__name__} is not supported. Supported are single-stage detectors, two-stage '
                'detectors with StandardRoIHead or CascadeRoIHead, and all backbones (--backbone)'
            )

    def forward(self, images: Tensor) -> None:
        if not isinstance(self.model, BaseDetector):
            self.model(images)
            return
        features = self.model.extract_feat(images)
        if isinstance(self.model, SingleStageDetector):
            self.model.bbox_head(features)
            return
        self.model.rpn_head(features)
        head = self.model.roi_head
        _run_heads(head.bbox_head, head.bbox_roi_extractor, BOXES)
        if head.with_mask:
            shared = head.share_roi_extractor
            _run_heads(head.mask_head, head.bbox_roi_extractor if shared else head.mask_roi_extractor, MASKS)


def _run_heads(heads: nn.Module, extractors: nn.Module, regions: int) -> None:
    """Run the heads on inputs of the RoI extractors' output size, as RoIAlign has no meta kernel."""
    for head, extractor in zip(_as_list(heads), _as_list(extractors)):
        size = extractor.roi_layers[0].output_size
        head(torch.empty(regions, extractor.out_channels, *size, device='meta'))


def _as_list(module: nn.Module) -> Iterable[Any]:
    return module if isinstance(module, nn.ModuleList) else [module]


def _split_by_part(model: nn.Module, operations: Callable[[str], int]) -> Cost:
    """Sum up parameters and operations by part, given the operations of each module path."""
    attention_types = tuple(MODELS.get(config['type']) for config in ATTENTIONS.values() if config)
    attentions: List[str] = []
    for name, module in model.named_modules():
        if isinstance(module, attention_types) and not name.startswith(
            tuple(f'{outer}.' for outer in attentions)
        ):
            attentions.append(name)

    def make_part(name: str, paths: Sequence[str]) -> Part:
        own = [a for a in attentions if any(f'{a}.'.startswith(f'{path}.' if path else '') for path in paths)]
        modules = [model.get_submodule(path) for path in paths]
        return Part(
            name,
            sum(p.numel() for module in modules for p in module.parameters()),
            sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad),
            sum(map(operations, paths)),
            sum(p.numel() for a in own for p in model.get_submodule(a).parameters()),
            sum(map(operations, own)),
        )

    total = make_part('total', [''])
    parts = [make_part(name, paths) for name, paths in _part_paths(model)]
    rest = [whole - sum(counts) for whole, *counts in zip(total[1:], *(p[1:] for p in parts))]
    parts.append(Part('other', *rest))
    return Cost([p for p in parts if any(p[1:])], total)


def _part_paths(model: nn.Module) -> List[Tuple[str, List[str]]]:
    """Return the names of the parts with the paths of their modules."""
    if not hasattr(model, 'backbone'):
        return _stages(model)
    parts = [
        (f'backbone.{name}', [f'backbone.{path}' for path in paths])
        for name, paths in _stages(model.get_submodule('backbone'))
    ]
    for name, child in model.named_children():
        if name == 'roi_head':
            parts += [(f'{name}.{inner}', [f'{name}.{inner}']) for inner, _ in child.named_children()]
        elif name != 'backbone':
            parts.append((name, [name]))
    return parts


def _stages(backbone: nn.Module) -> List[Tuple[str, List[str]]]:
    names = [name for name, _ in backbone.named_children()]
    first = next((i for i, name in enumerate(names) if name.startswith('layer')), 0)
    return [('stem', names[:first])] * bool(first) + [(name, [name]) for name in names[first:]]
