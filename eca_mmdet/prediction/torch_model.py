"""Predict with a model of a host library."""

from typing import Any, Dict, List, Union

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from ..hosts import host_of
from .result import Result
from .sample_results import to_result
from .sources import SourceImage

_LOADERS = (
    'LoadImageFromFile',
    'LoadImageFromNDArray',
    'LoadAnnotations',
    'LoadPanopticAnnotations',
    'LoadPanoptic',
)


class TorchModel:
    """A model of mmdet, mmseg or mmpretrain with the test pipeline of its config.

    Args:
        cfg: The config.
        model: The model with its weights.
        classes: Names of the classes.
        device: Where it computes.

    Raises:
        ValueError: If the config has no test pipeline.
    """

    def __init__(
        self, cfg: Config, model: nn.Module, classes: Any, device: Union[str, torch.device] = 'cpu'
    ) -> None:
        self.cfg, self.classes = cfg, tuple(classes)
        self.module: Any = model.to(device).eval()
        self._scope = host_of(cfg).scope
        if self._scope == 'mmdet':
            from ..engine import use_channels_last

            use_channels_last(self.module)  # faster on a CPU, with the same values
        self._pipeline = self._build_pipeline()

    @torch.no_grad()
    def predict(self, images: List[SourceImage]) -> List[Result]:
        """Predict on a batch of images."""
        with DefaultScope.overwrite_default_scope(self._scope):
            data = pseudo_collate([self._prepare(image) for image in images])
            samples = self.module.test_step(data)
        return [to_result(sample, image, self.classes) for sample, image in zip(samples, images)]

    def _prepare(self, image: SourceImage) -> Dict[str, Any]:
        shape = image.pixels.shape[:2]
        info = dict(img_path=image.path, img_id=0, sample_idx=0, img=image.pixels.copy())
        return self._pipeline(dict(**info, img_shape=shape, ori_shape=shape))

    def _build_pipeline(self) -> Compose:
        steps = [step for step in test_pipeline(self.cfg) if _type_name(step) not in _LOADERS]
        with DefaultScope.overwrite_default_scope(self._scope):
            return Compose(steps)


def test_pipeline(cfg: Config) -> List[Any]:
    """Return the steps of the test pipeline of a config.

    Raises:
        ValueError: If it has none.
    """
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    if 'pipeline' not in dataset:
        raise ValueError('the config has no test_dataloader with a pipeline, so images cannot be prepared')
    return list(dataset['pipeline'])


def _type_name(step: Any) -> str:
    return str(step.get('type') if isinstance(step, dict) else type(step).__name__).split('.')[-1]
