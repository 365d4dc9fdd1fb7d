"""Training step and inference of a whole detector, timed with one backbone beside another.

The step is mmdet's own, on noise with drawn boxes, with an optimizer whose rate is zero: it does
all of its work and leaves the weights. Run as a module, it measures the memory of one model.
"""

import contextlib
import gc
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

from .cases import Cases, Size, time_cases
from .equality import Values, check_equal
from .measure import memory_records, peak_of, resident_bytes
from .models import parse_name, random_norms, with_baselines
from .workers import CallOf, rounds_of

OPTIONS = ('channels_last', 'amp', 'compile', 'triton')
CHECKED_SIZE = (128, 160)
OBJECTS = 8  # in an image


class Detector(NamedTuple):
    """A detector and how it is run."""

    name: str
    module: nn.Module
    optimizer: OptimWrapper
    device: str

    def run(self, mode: str, data: dict) -> Any:
        """One training step or prediction; samplers and proposals start from the same seed."""
        if self.module.training != (mode == 'train'):
            self.module.train(mode == 'train')
        torch.manual_seed(0)
        if mode == 'train':
            return self.module.train_step(data, self.optimizer)
        with torch.no_grad(), self.autocast():
            return self.module.test_step(data)

    def autocast(self) -> contextlib.AbstractContextManager:
        """Half precision of the whole on a GPU, where asked for."""
        enabled = isinstance(self.optimizer, AmpOptimWrapper)
        return torch.autocast(self.device, torch.float16) if enabled else contextlib.nullcontext()


def benchmark_detectors(
    config: str,
    names: Sequence[str],
    cases: Cases,
    options: Optional[dict] = None,
    device: str = 'cpu',
    log: Callable[[str], None] = lambda line: None,
) -> Dict[str, List[Dict[str, Any]]]:
    """Check that detectors of one architecture compute the same, then measure them.

    Args:
        config: Of a detector with an ``ECAResNet``; its backbone is exchanged.
        names: Backbones, as in ``models.py``; the baselines are added. With ``stock`` and ``naive`` the
            RoI extractors are mmdet's as well.
        cases: What to measure.
        options: Dotted names and values that override the config.
        device: ``'cpu'`` or ``'cuda'``.
        log: Takes a line of progress.

    Returns:
        ``checks`` and ``results``, lists of plain records.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If a name is unknown, or two models of one architecture differ.
    """
    names = with_baselines(names)
    rivals = {name: build_detector(config, name, options, device) for name in names}
    checked = synthetic_data(rivals['stock'].module, CHECKED_SIZE, 2, device)
    checks = check_equal((values(rival, checked) for rival in rivals.values()), 'losses and features')
    log(f'{len(checks)} comparisons of features and losses passed')
    del rivals
    same = dict(config=config, options=options, device=device)
    results = time_cases(rounds_of(names, partial(calls_of, **same), device), cases, log)
    if 'memory' in cases.modes:
        results += memory_records(__name__, names, cases, same)
    return dict(checks=checks, results=results)


def calls_of(name: str, config: str, options: Optional[dict], device: str) -> CallOf:
    """The rounds of a detector."""
    rival = build_detector(config, name, options, device)
    data = lru_cache(None)(lambda size, batch: synthetic_data(rival.module, size, batch, device))
    return lambda mode, size, batch: partial(rival.run, mode, data(size, batch))


def build_detector(config: str, name: str, options: Optional[dict], device: str) -> Detector:
    """Build the config's detector on another backbone; those of one architecture get the same weights.

    Raises:
        ValueError: If the config's backbone is no ``ECAResNet``, or the name is unknown.
    """
    cls, arguments, wanted = parse_name(name, OPTIONS, device)
    cfg = load_config(config, options)
    backbone = cfg.get('model', {}).get('backbone', {})
    if backbone.get('type') != 'ECAResNet':
        raise ValueError(
            f'{config}: its backbone is {backbone.get("type")!r}; give a config with an ECAResNet'
        )
    if cls is ResNet:
        backbone = {key: backbone[key] for key in backbone if key in inspect.signature(ResNet).parameters}
    cfg.model.backbone = ConfigDict(backbone, type=cls.__name__, init_cfg=None, **arguments)
    if name.split('+')[0] in ('stock', 'naive'):
        _use_mmdets_roi_extractors(cfg.model.get('roi_head') or {})
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = MODELS.build(cfg.model)
        random_norms(module.backbone)
    _fix_boxes(module)
    module.to(device).train()
    if 'channels_last' in wanted:
        _compute_in_channels_last(module)
    elif cls is not ResNet and arguments.get('fast', True):
        use_channels_last(module)  # as the tools do
    if cls is ResNet and 'compile' in wanted:
        module.backbone.compile(**COMPILE_OPTIONS)
    sgd = torch.optim.SGD(
        [p for p in module.parameters() if p.requires_grad], lr=0, momentum=0.9, weight_decay=1e-4
    )
    if 'amp' in wanted and device == 'cpu':
        autocast_parts(module)
    on_gpu = 'amp' in wanted and device != 'cpu'
    wrapper = AmpOptimWrapper(optimizer=sgd, loss_scale=512.0) if on_gpu else OptimWrapper(sgd)
    return Detector(name, module, wrapper, device)


def _use_mmdets_roi_extractors(roi_head: dict) -> None:
    for part in ('bbox_roi_extractor', 'mask_roi_extractor'):
        if (roi_head.get(part) or {}).get('type') == 'FastRoIExtractor':
            roi_head[part].type = 'SingleRoIExtractor'


def _compute_in_channels_last(module: nn.Module) -> None:
    """Give a detector channels_last weights and images, and mmdet's RoI extractors contiguous features."""
    module.to(memory_format=torch.channels_last)
    module.backbone.register_forward_pre_hook(
        lambda _, args: (args[0].contiguous(memory_format=torch.channels_last),)
    )
    for layer in module.modules():
        if type(layer) is SingleRoIExtractor:
            layer.register_forward_pre_hook(
                lambda _, args: (tuple(x.contiguous() for x in args[0]), *args[1:])
            )


def _fix_boxes(module: nn.Module) -> None:
    """Proposals and detections that no feature changes, so that all models' heads do the same work."""
    heads = (('rpn_head.rpn_cls', 0), ('rpn_head.rpn_reg', 0))
    for name, logit in (*heads, ('roi_head.bbox_head.fc_cls', 8), ('roi_head.bbox_head.fc_reg', 0)):
        with contextlib.suppress(AttributeError):  # a detector of one stage has none of them
            layer = module.get_submodule(name)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            layer.bias.data[0] = logit  # all boxes are of the first class


def synthetic_data(module: nn.Module, size: Size, batch: int, device: str) -> dict:
    """A batch of noise with ``OBJECTS`` boxes and masks an image, as mmdet's data loader gives it."""
    heads = [m for m in module.modules() if hasattr(m, 'num_classes')]
    return demo_mm_inputs(
        batch,
        (3, *size),
        num_items=[OBJECTS] * batch,
        num_classes=max(head.num_classes for head in heads),
        with_mask=True,
        device=device,
    )


def values(rival: Detector, data: dict) -> Values:
    """Losses of a training step, and the features in both modes."""
    losses = rival.run('train', data)
    tensors = [losses[name].detach().clone() for name in sorted(losses) if 'loss' in name]
    inputs = rival.module.data_preprocessor(data)['inputs']
    for mode in (True, False):
        rival.module.train(mode)
        with torch.set_grad_enabled(mode), rival.autocast():
            tensors += [feature.detach().clone() for feature in rival.module.extract_feat(inputs)]
    return Values(rival.name, tensors)


def measure_memory(
    name: str, config: str, options: Optional[dict], size: Sequence[int], batch: int, device: str
) -> int:
    """Peak memory of a second training step, the model's weights included."""
    before = resident_bytes() if device == 'cpu' else 0
    rival = build_detector(config, name, options, device)
    data = synthetic_data(rival.module, tuple(size), batch, device)
    rival.run('train', data)
    gc.collect()
    return peak_of(lambda: rival.run('train', data), device, before)


if __name__ == '__main__':
    print(json.dumps(dict(peak=measure_memory(**json.loads(sys.argv[1])))))
