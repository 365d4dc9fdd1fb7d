"""Read from a config how images are prepared for the model."""

from typing import Any, Dict, Mapping, Optional, Tuple

from mmengine.config import Config

from ..prediction.torch_model import test_pipeline
from .image_preparation import INTERPOLATIONS, RESIZERS, Preparation

# Steps that do not change the pixels.
_OTHERS = ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations')
_PREPROCESSORS = ('DetDataPreprocessor', 'SegDataPreProcessor', 'ClsDataPreprocessor')
_PACKING = ('PackDetInputs', 'PackSegInputs', 'PackInputs')


def preparation_of(cfg: Config, preprocessor: Any, pad_size: Optional[Tuple[int, int]] = None) -> Preparation:
    """Return how the test pipeline of a config and the data preprocessor of its model prepare an image.

    Args:
        cfg: The config.
        preprocessor: The model's ``data_preprocessor``.
        pad_size: Height and width of a fixed input size, or ``None``.

    Raises:
        ValueError: If there is a step that an exported model cannot describe.
    """
    options: Dict[str, Any] = {}
    for step in test_pipeline(cfg):
        name = str(step['type']).split('.')[-1]
        if name in _READERS:
            if 'crop' in options or (name != 'CenterCrop' and {'size', 'short_edge'} & set(options)):
                raise ValueError(f'the test pipeline of the config has {name} after another resize or crop')
            options.update(_READERS[name](step))
        elif name not in (*_OTHERS, *_PACKING):
            raise ValueError(
                f'the test pipeline of the config has the step {name}, which cannot be exported. Allowed are '
                f'{", ".join([*_READERS, *_OTHERS, *_PACKING])}'
            )
    return Preparation(**options, **_preprocessor_options(preprocessor), pad_size=pad_size)


def _read_resize(step: Mapping[str, Any]) -> Dict[str, Any]:
    scale = step.get('scale')
    size = (scale, scale) if isinstance(scale, int) else scale
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(isinstance(v, int) for v in size):
        raise ValueError(f'Resize of the test pipeline has scale={scale!r}. Allowed are (width, height)')
    return dict(size=tuple(size), keep_ratio=bool(step.get('keep_ratio')), **_interpolation(step))


def _read_resize_edge(step: Mapping[str, Any]) -> Dict[str, Any]:
    if step.get('edge', 'short') != 'short':
        raise ValueError(f'ResizeEdge of the test pipeline has edge={step["edge"]!r}. Allowed is short')
    return dict(short_edge=step['scale'], **_interpolation(step))


def _read_crop(step: Mapping[str, Any]) -> Dict[str, Any]:
    size = step['crop_size']
    if step.get('auto_pad'):
        raise ValueError('CenterCrop of the test pipeline has auto_pad=True, which cannot be exported')
    return dict(crop=(size, size) if isinstance(size, int) else tuple(size)[::-1])


def _interpolation(step: Mapping[str, Any]) -> Dict[str, str]:
    resizer, found = step.get('backend', 'cv2'), step.get('interpolation', 'bilinear')
    if resizer not in RESIZERS or found not in INTERPOLATIONS:
        raise ValueError(
            f'{step["type"]} of the test pipeline has backend={resizer!r} and '
            f'interpolation={found!r}. Allowed are {", ".join(RESIZERS)} and {", ".join(INTERPOLATIONS)}'
        )
    return dict(interpolation=found, resizer=resizer)


_READERS = {
    'Resize': _read_resize,
    'FixShapeResize': lambda step: _read_resize({**step, 'scale': (step['width'], step['height'])}),
    'ResizeEdge': _read_resize_edge,
    'CenterCrop': _read_crop,
}


def _preprocessor_options(preprocessor: Any) -> Dict[str, Any]:
    """Read the settings of mmdet's, mmseg's or mmpretrain's data preprocessor."""
    name = type(preprocessor).__name__
    if name not in _PREPROCESSORS:
        raise ValueError(f'the data preprocessor is {name}. Exported can be {", ".join(_PREPROCESSORS)}')
    found = vars(preprocessor)
    test = found.get('test_cfg') or {}
    if test.get('size') is not None:
        raise ValueError('data_preprocessor.test_cfg has a size, which cannot be exported. Use size_divisor')
    normalization = {}
    if found['_enable_normalize']:
        mean, std = (getattr(preprocessor, key).flatten().tolist() for key in ('mean', 'std'))
        if not len(mean) == len(std) == 3:
            raise ValueError(
                f'data_preprocessor has mean={mean} and std={std}. Three values of each are needed'
            )
        normalization = dict(mean=tuple(mean), std=tuple(std))
    flips = [found.get(key) for key in ('_channel_conversion', 'channel_conversion', 'to_rgb')]
    return dict(
        **normalization,
        is_rgb=any(flips),
        # mmseg pads test images only if test_cfg says so
        pad_divisor=(test.get('size_divisor') if 'test_cfg' in found else found['pad_size_divisor']) or 1,
        pad_value=float(found.get('pad_value', found.get('pad_val', 0))),
    )
