"""Parameters and operations of a backbone or a detector, part by part.

The counter is torch's ``FlopCounterMode``. It sees every operator that is dispatched, so it also
counts functions that are no modules, and it works on the meta device: a whole detector at
1280x800 needs neither memory nor arithmetic. mmengine's ``FlopAnalyzer`` traces with torch.jit, which
fails on the meta device, and has no formula for ECA's pooling.

What counts as an operation beside a multiply-add is a ``Convention``.
"""

from copy import deepcopy
from typing import Callable, List, NamedTuple, Sequence, Tuple

import torch
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..layers import ATTENTIONS
from .conventions import BOXES, CONVENTIONS, MASKS, Convention, counter_formulas


class Part(NamedTuple):
    """Cost of a part of a network; the last two are the share of its attention layers."""

    name: str
    parameters: int
    trainable: int
    operations: int
    attention_parameters: int
    attention_operations: int


class Cost(NamedTuple):
    """Cost of a network: its parts, and the whole as the last entry named ``'total'``."""

    parts: List[Part]
    total: Part


class Classifier(nn.Module):
    """A backbone with the global pooling and linear layer of an ImageNet classifier.

    Args:
        backbone: A backbone with ``out_channels``.
        classes: Number of classes.
    """

    def __init__(self, backbone: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.out_channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` to scores ``(N, classes)``."""
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def count_cost(model: nn.Module, shape: Sequence[int], convention: Convention = CONVENTIONS['macs']) -> Cost:
    """Count the parameters of a network and the operations of one image.

    Args:
        model: A backbone, a ``Classifier``, a single-stage detector or a two-stage detector with a
            ``StandardRoIHead`` or ``CascadeRoIHead``. It is not changed; one built on the meta
            device needs no memory.
        shape: Height and width of the image in pixels.
        convention: What is counted as an operation.

    Returns:
        The cost of each part. Stages are named as in mmdet (``layer1``), what comes before
        them is the stem.

    Raises:
        ValueError: If the model is another kind of detector, does not take such an image, or has
            an operator that cannot run without data.
    """
    counter = FlopCounterMode(display=False, custom_mapping=counter_formulas(convention))
    model = deepcopy(model).to('meta')
    model.eval()  # its result is not the model where mmdet's own backbones override train()
    run = _Run(model)
    try:
        with torch.no_grad(), counter:
            run(torch.empty(1, 3, *shape, device='meta'))
    except RuntimeError as error:  # an image too small, an operator of mmcv that is not for the meta device
        raise ValueError(
            f'{type(model).__name__} cannot be counted at {shape[0]}x{shape[1]} without data: {error}'
        ) from None
    operations = {
        name: sum(by_operator.values()) // 2 for name, by_operator in counter.get_flop_counts().items()
    }
    return _by_part(model, lambda path: operations.get(f'_Run.model.{path}' if path else 'Global', 0))


class _Run(nn.Module):
    """One forward of a model without data; as a module, so that the counter knows the names below it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        if isinstance(model, TwoStageDetector):
            known = type(model.roi_head) in (StandardRoIHead, CascadeRoIHead)
            known = known and not model.roi_head.with_shared_head
        else:
            known = isinstance(model, SingleStageDetector) or not isinstance(model, BaseDetector)
        if not known:
            raise ValueError(
                f'{type(model).__name__} cannot be counted: single-stage detectors can, two-stage detectors '
                'with StandardRoIHead or CascadeRoIHead, and every backbone by itself (--backbone)'
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
    """Run the heads on regions of the extractors' size; mmcv's RoIAlign has no meta kernel."""
    for head, extractor in zip(_listed(heads), _listed(extractors)):
        size = extractor.roi_layers[0].output_size
        head(torch.empty(regions, extractor.out_channels, *size, device='meta'))


def _listed(module: nn.Module) -> Sequence[nn.Module]:
    return module if isinstance(module, nn.ModuleList) else [module]


def _by_part(model: nn.Module, operations: Callable[[str], int]) -> Cost:
    layers = tuple(MODELS.get(config['type']) for config in ATTENTIONS.values() if config)
    attentions: List[str] = []
    for name, module in model.named_modules():
        if isinstance(module, layers) and not name.startswith(tuple(f'{outer}.' for outer in attentions)):
            attentions.append(name)

    def part(name: str, paths: Sequence[str]) -> Part:
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

    total = part('total', [''])
    parts = [part(name, paths) for name, paths in _paths(model)]
    rest = [whole - sum(counts) for whole, *counts in zip(total[1:], *(p[1:] for p in parts))]
    parts.append(Part('other', *rest))
    return Cost([p for p in parts if any(p[1:])], total)


def _paths(model: nn.Module) -> List[Tuple[str, List[str]]]:
    """Names of the parts, each with the paths of its modules."""
    if not hasattr(model, 'backbone'):
        return _stages(model)
    found = [
        (f'backbone.{name}', [f'backbone.{path}' for path in paths])
        for name, paths in _stages(model.backbone)
    ]
    for name, child in model.named_children():
        if name == 'roi_head':
            found += [(f'{name}.{inner}', [f'{name}.{inner}']) for inner, _ in child.named_children()]
        elif name != 'backbone':
            found.append((name, [name]))
    return found


def _stages(backbone: nn.Module) -> List[Tuple[str, List[str]]]:
    names = [name for name, _ in backbone.named_children()]
    first = next((i for i, name in enumerate(names) if name.startswith('layer')), 0)
    return [('stem', names[:first])] * bool(first) + [(name, [name]) for name in names[first:]]
