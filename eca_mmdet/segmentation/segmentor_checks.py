"""Check the heads of a segmentation model against its data before a run."""

import logging
import os
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def iter_heads(cfg: Config, model: Optional[nn.Module]) -> Iterator[Tuple[str, dict, Optional[nn.Module]]]:
    """Yield name, settings and module of each head of a model; the module is ``None`` if it was not built."""
    for name in ('decode_head', 'auxiliary_head'):
        settings = cfg.model.get(name)
        is_list = isinstance(settings, (list, tuple))
        for index, node in enumerate(settings if is_list else [settings]):
            if isinstance(node, dict):
                built = getattr(model, name, None)
                if isinstance(built, nn.ModuleList):
                    built = built[index] if index < len(built) else None
                yield f'model.{name}{f".{index}" if is_list else ""}', node, built


def check_heads(cfg: Config, model: Optional[nn.Module], classes: Sequence[str], key: str) -> None:
    """Check that each head has one output for each class of a dataset, and each loss one weight.

    Raises:
        ValueError: If a head has another number of classes, or a ``class_weight`` another length.
    """
    for path, settings, head in iter_heads(cfg, model):
        count = getattr(head, 'num_classes', settings.get('num_classes'))
        if count is None or count == len(classes):
            _check_class_weights(head, path)
        elif head is not None and not isinstance(head, BaseDecodeHead):
            print_log(
                f'{path}.num_classes is {count}, and {key} has {len(classes)} classes. This was not checked: '
                f'{type(head).__name__} may count something else.',
                level=logging.WARNING,
            )
        else:
            raise ValueError(
                f'{path}.num_classes is {count}, but {key} has {len(classes)} classes {tuple(classes[:3])}. '
                f'Use --cfg-options {path}.num_classes={len(classes)}\nA background that is labelled in the '
                'masks is a class too'
            )


def _check_class_weights(head: Optional[nn.Module], path: str) -> None:
    outputs = getattr(head, 'out_channels', None)
    for name, loss in _losses(head, path):
        weights = getattr(loss, 'class_weight', None)
        if weights is not None and outputs and outputs > 1 and len(weights) != outputs:
            raise ValueError(
                f'{name}.class_weight has {len(weights)} values, but there are {outputs} classes'
            )


def _losses(head: Optional[nn.Module], path: str) -> List[Tuple[str, Any]]:
    losses: Any = getattr(head, 'loss_decode', None)
    if isinstance(losses, nn.ModuleList):
        return [(f'{path}.loss_decode.{index}', loss) for index, loss in enumerate(losses)]
    return [(f'{path}.loss_decode', losses)]


def check_class_weights_of_ignored(model: Optional[nn.Module], key: str) -> None:
    """Check that no loss has class weights, if a training set has ignored pixels.

    mmseg's ``CrossEntropyLoss`` looks up the weight of the ignored label and raises an ``IndexError``.

    Raises:
        ValueError: If a head has such a loss.
    """
    for name in ('decode_head', 'auxiliary_head'):
        built: Any = getattr(model, name, None)
        for head in built if isinstance(built, nn.ModuleList) else [built]:
            for path, loss in _losses(head, f'model.{name}'):
                has_weights = getattr(loss, 'class_weight', None) is not None
                if has_weights and isinstance(loss, CrossEntropyLoss) and not loss.use_sigmoid:
                    raise ValueError(
                        f'{path}.class_weight is set, and the masks of {key} have ignored pixels. '
                        "mmseg's CrossEntropyLoss cannot handle both. Remove class_weight, or weight "
                        f'difficult pixels with model.{name}.sampler=dict(type="OHEMPixelSampler")'
                    )


def check_input_size(cfg: Config) -> None:
    """Check that mmseg's preprocessor knows the size of a training batch.

    Raises:
        ValueError: If it has neither a size nor a divisor, or both. mmseg raises an assertion later.
    """
    node = cfg.model.get('data_preprocessor') or {}
    cls = MODELS.get(node['type']) if isinstance(node.get('type'), str) else node.get('type')
    given = [name for name in ('size', 'size_divisor') if node.get(name) is not None]
    if cls is SegDataPreProcessor and len(given) != 1:
        found = 'neither size nor size_divisor' if not given else 'both size and size_divisor'
        raise ValueError(
            f'model.data_preprocessor has {found}, but training needs one of them. Set the crop size of the '
            "training pipeline, such as\n    --cfg-options 'model.data_preprocessor.size=(512,512)'"
        )


def pooled_norms(model: Optional[nn.Module]) -> List[str]:
    """Return the names of modules that pool a feature to one pixel and normalize it over the batch.

    These are the pooling branches of PSPNet, UPerNet, DeepLabV3 and DeepLabV3+.
    """
    return [
        name
        for name, module in (model.named_modules() if model is not None else ())
        if isinstance(module, nn.Sequential)
        and len(module)
        and isinstance(module[0], _POOLS)
        and module[0].output_size in (1, (1, 1), [1, 1])
        and any(isinstance(part, _BatchNorm) for part in module.modules())
    ]


def images_per_batch(cfg: Config) -> int:
    """Return the number of training images per process."""
    loader = cfg.train_dataloader
    return (loader.get('batch_sampler') or {}).get('batch_size') or loader.get('batch_size') or 1


def check_pooled_heads(cfg: Config, model: Optional[nn.Module], images: Optional[int] = None) -> None:
    """Check that batch norms behind a pooling to one pixel get at least two images.

    Args:
        cfg: The config of a training.
        model: The model, if it was built.
        images: Number of training images, to check the last batch of an epoch.

    Raises:
        ValueError: If torch would raise "Expected more than 1 value per channel when training".
    """
    names = pooled_norms(model)
    if not names or _is_synchronized(cfg):
        return
    batch = images_per_batch(cfg)
    why = (
        f'model.{names[0]} pools its feature to one pixel and normalizes it over the batch, which needs at '
        'least two images per process (torch: "Expected more than 1 value per channel when training")'
    )
    if batch == 1:
        head = 'model.' + names[0].split('.')[0]
        raise ValueError(
            f'{why}, but train_dataloader.batch_size is 1. Use\n'
            '    --cfg-options train_dataloader.batch_size=2\n'
            'or, if memory is too small for two images, a norm that does not use the batch:\n'
            f'    --cfg-options {head}.norm_cfg.type=GN {head}.norm_cfg.num_groups=16'
        )
    sampler = (cfg.train_dataloader.get('sampler') or {}).get('type')
    is_infinite = 'Infinite' in str(getattr(sampler, '__name__', sampler))
    if images and images % batch == 1 and not is_infinite and not cfg.train_dataloader.get('drop_last'):
        raise ValueError(
            f'{why}, but the last batch of an epoch has one: {images} images in batches of {batch}. Use\n'
            '    --cfg-options train_dataloader.drop_last=True'
        )


def _is_synchronized(cfg: Config) -> bool:
    """Whether batch norm sees the images of several processes."""
    is_distributed = cfg.get('launcher', 'none') != 'none' and os.environ.get('WORLD_SIZE') != '1'
    return is_distributed and bool(cfg.get('sync_bn') or 'SyncBN' in str(cfg.model.get('decode_head')))
