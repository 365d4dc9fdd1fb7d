"""Benchmark the training step and inference of a detector with different backbones.

The step is mmdet's own, on random images and boxes. The learning rate is zero, so the optimizer does all
of its work but the weights do not change. Running this file as a module measures the memory of one model.
"""

import contextlib
import inspect
import json
import sys
from functools import lru_cache, partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import torch
from mmdet.models.backbones import ResNet
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import ConfigDict
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from torch import nn

from eca_mmdet.apis.config import load_config
from eca_mmdet.backbones.compiled import COMPILE_OPTIONS
from eca_mmdet.engine import autocast_parts, use_channels_last

from .cases import Cases, Size, measure_cases
from .equality import Values, check_equal
from .measure import second_step_peak
from .models import OPTIONS, parse_name, randomize_norms, with_baselines
from .workers import PrepareStep

CHECK_SIZE = (128, 160)
"""Image height and width for comparing values before anything is timed."""

OBJECTS_PER_IMAGE = 8


class Detector(NamedTuple):
    """A detector with its optimizer."""

    name: str
    module: nn.Module
    optimizer: OptimWrapper
    device: str

    def run(self, mode: str, data: dict) -> Any:
        """Run one training step or prediction, always with the same random seed."""
        if self.module.training != (mode == 'train'):
            self.module.train(mode == 'train')
        torch.manual_seed(0)
        if mode == 'train':
            return self.module.train_step(data, self.optimizer)
        with torch.no_grad(), self.autocast():
            return self.module.test_step(data)

    def autocast(self) -> contextlib.AbstractContextManager:
        """Return a float16 autocast context if the detector runs in mixed precision on a GPU."""
        is_amp = isinstance(self.optimizer, AmpOptimWrapper)
        return torch.autocast(self.device, torch.float16) if is_amp else contextlib.nullcontext()


def benchmark_detectors(
    config: str,
    names: Sequence[str],
    cases: Cases,
    options: Optional[dict] = None,
    device: str = 'cpu',
    log: Callable[[str], None] = lambda line: None,
) -> Dict[str, List[Dict[str, Any]]]:
    """Check that detectors of the same architecture compute the same values, then measure them.

    Args:
        config: Config of a detector with an ``ECAResNet``, which is replaced by each of the backbones.
        names: Backbones, as in ``models.py``. The baselines are added. Detectors with ``stock`` and
            ``naive`` also use mmdet's RoI extractors.
        cases: What to measure.
        options: Dotted names and values that override the config.
        device: ``'cpu'`` or ``'cuda'``.
        log: Receives progress messages.

    Returns:
        ``checks`` and ``results``, lists of records that can be written as JSON.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If a name is unknown, or two models of the same architecture differ.
    """
    names = with_baselines(names)
    detectors = {name: build_detector(config, name, options, device) for name in names}
    data = make_data(detectors['stock'].module, CHECK_SIZE, 2, device)
    values = (compute_values(detector, data) for detector in detectors.values())
    checks = check_equal(values, 'losses and features')
    log(f'{len(checks)} comparisons of losses and features passed')
    del detectors
    arguments = dict(config=config, options=options, device=device)
    return dict(checks=checks, results=measure_cases(__name__, names, prepare_steps, cases, arguments, log))


def prepare_steps(name: str, config: str, options: Optional[dict], device: str) -> PrepareStep:
    """Build a detector and return a function that prepares its steps for a mode, size and batch."""
    detector = build_detector(config, name, options, device)
    data = lru_cache(None)(lambda size, batch: make_data(detector.module, size, batch, device))
    return lambda mode, size, batch: partial(detector.run, mode, data(size, batch))


def build_detector(config: str, name: str, options: Optional[dict], device: str) -> Detector:
    """Build a config's detector with another backbone.

    Detectors with backbones of the same architecture get the same random weights.

    Raises:
        ValueError: If the config's backbone is not an ``ECAResNet``, or the name is unknown.
    """
    cls, arguments, model_options = parse_name(name, OPTIONS, device)
    cfg = load_config(config, options)
    backbone = cfg.get('model', {}).get('backbone', {})
    if backbone.get('type') != 'ECAResNet':
        raise ValueError(
            f'{config}: the backbone is {backbone.get("type")!r}; give a config with an ECAResNet'
        )
    if cls is ResNet:
        backbone = {key: backbone[key] for key in backbone if key in inspect.signature(ResNet).parameters}
    cfg.model.backbone = ConfigDict(backbone, type=cls.__name__, init_cfg=None, **arguments)
    if name.split('+')[0] in ('stock', 'naive'):
        _use_mmdet_roi_extractors(cfg.model.get('roi_head') or {})
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = MODELS.build(cfg.model)
        randomize_norms(module.backbone)
    _fix_predicted_boxes(module)
    module.to(device).train()
    if 'channels_last' in model_options:
        _convert_to_channels_last(module)
    elif cls is not ResNet and arguments.get('fast', True):
        use_channels_last(module)  # as tools/train.py does
    if cls is ResNet and 'compile' in model_options:
        module.backbone.compile(**COMPILE_OPTIONS)
    sgd = torch.optim.SGD(
        [p for p in module.parameters() if p.requires_grad], lr=0, momentum=0.9, weight_decay=1e-4
    )
    optimizer = OptimWrapper(sgd)
    if 'amp' in model_options and device == 'cpu':
        autocast_parts(module)
    elif 'amp' in model_options:
        optimizer = AmpOptimWrapper(optimizer=sgd, loss_scale=512.0)
    return Detector(name, module, optimizer, device)


def _use_mmdet_roi_extractors(roi_head: dict) -> None:
    for part in ('bbox_roi_extractor', 'mask_roi_extractor'):
        if (roi_head.get(part) or {}).get('type') == 'FastRoIExtractor':
            roi_head[part].type = 'SingleRoIExtractor'


def _convert_to_channels_last(module: nn.Module) -> None:
    """Convert weights and images to channels_last, and the inputs of mmdet's RoI extractors back."""
    module.to(memory_format=torch.channels_last)
    module.backbone.register_forward_pre_hook(
        lambda _, args: (args[0].contiguous(memory_format=torch.channels_last),)
    )
    for layer in module.modules():
        if type(layer) is SingleRoIExtractor:
            layer.register_forward_pre_hook(
                lambda _, args: (tuple(x.contiguous() for x in args[0]), *args[1:])
            )


def _fix_predicted_boxes(module: nn.Module) -> None:
    """Make proposals and detections independent of the features, so that all heads do the same work."""
    heads = (('rpn_head.rpn_cls', 0), ('rpn_head.rpn_reg', 0))
    for name, logit in (*heads, ('roi_head.bbox_head.fc_cls', 8), ('roi_head.bbox_head.fc_reg', 0)):
        with contextlib.suppress(AttributeError):  # single-stage detectors do not have these layers
            layer = module.get_submodule(name)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            layer.bias.data[0] = logit  # predicts the first class for all boxes


def make_data(module: nn.Module, size: Size, batch: int, device: str) -> dict:
    """Draw a batch of random images with ``OBJECTS_PER_IMAGE`` boxes and masks each, in mmdet's format."""
    heads = [m for m in module.modules() if hasattr(m, 'num_classes')]
    return demo_mm_inputs(
        batch,
        (3, *size),
        num_items=[OBJECTS_PER_IMAGE] * batch,
        num_classes=max(head.num_classes for head in heads),
        with_mask=True,
        device=device,
    )


def compute_values(detector: Detector, data: dict) -> Values:
    """Compute the losses of a training step, and the features in training and inference."""
    losses = detector.run('train', data)
    tensors = [losses[name].detach().clone() for name in sorted(losses) if 'loss' in name]
    inputs = detector.module.data_preprocessor(data)['inputs']
    for is_training in (True, False):
        detector.module.train(is_training)
        with torch.set_grad_enabled(is_training), detector.autocast():
            tensors += [feature.detach().clone() for feature in detector.module.extract_feat(inputs)]
    return Values(detector.name, tensors)


def measure_memory(
    name: str, config: str, options: Optional[dict], size: Sequence[int], batch: int, device: str
) -> int:
    """Return the peak memory of a detector's second training step in bytes, including the weights."""

    def build_step() -> Callable[[], Any]:
        detector = build_detector(config, name, options, device)
        return partial(detector.run, 'train', make_data(detector.module, tuple(size), batch, device))

    return second_step_peak(build_step, device)


if __name__ == '__main__':
    print(json.dumps(dict(peak=measure_memory(**json.loads(sys.argv[1])))))
