"""Train and evaluate a detector of mmdet on a folder in COCO format, with the config of another dataset."""

import os
from pathlib import Path
from typing import Any, Iterator, List, Optional, Union

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from ..datasets.coco_folder import CocoFolder, CocoSplit, find_coco_folder
from ..datasets.coco_readers import is_panoptic, unsupported_reason
from ..datasets.config_datasets import Split, dataset_class, find_datasets, resolve_type
from ..datasets.label_checks import class_counts, iter_parts
from .model_checks import build_model
from .section_checks import check_sections, check_work_dir

_MASK_HEADS = ('mask_head', 'segm_head', 'panoptic_head')


def use_data_folder(
    cfg: Config,
    folder: Union[str, Path],
    val_fraction: Optional[float] = None,
    test_split: Optional[str] = None,
    mode: str = 'train',
) -> CocoFolder:
    """Point a config to a folder in COCO format: annotation files, images, classes and heads.

    All paths are absolute, so that the config can be used from any folder. Annotation files that need a
    correction are copied to ``annotations`` in the work directory.

    Args:
        cfg: Config of a detector, with ``work_dir`` set.
        folder: The folder, see ``find_coco_folder``.
        val_fraction: Fraction of the training images to validate on, for a folder with training images only.
        test_split: The split to test on: ``'val'`` or ``'test'``. By default, the test split if there is one.
        mode: What the config is for: ``'train'`` or ``'test'``.

    Returns:
        The dataset that was found.

    Raises:
        FileNotFoundError: If the folder, an annotation file or an image is missing.
        ValueError: If the config or the folder cannot be used.
    """
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    check_sections(cfg, mode)
    _check_config(cfg)
    found = find_coco_folder(folder, val_fraction)
    if test_split == 'test' and 'test' not in found.splits:
        raise ValueError(f'{found.root} has no test split: it has {", ".join(found.splits)}. Use --split val')
    _check_masks(cfg, found)
    _set_num_classes(cfg, len(found.classes))
    test = found.splits[test_split or ('test' if 'test' in found.splits else 'val')]
    check_work_dir(cfg.work_dir)
    for loader, split in (('train', found.splits['train']), ('val', found.splits['val']), ('test', test)):
        if cfg.get(f'{loader}_dataloader') is not None:
            _use_split(cfg, loader, split, found)
    cfg.data_root = f'{found.root}/'
    _make_weights_absolute(cfg)
    _log(found)
    return found


def _check_config(cfg: Config) -> None:
    """Refuse configs whose data is not one COCO dataset, or whose model does not number its classes."""
    if 'language_model' in cfg.model:
        raise ValueError(f'--data cannot set the classes of {cfg.filename}: the model classifies by text')
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader is None:
            continue
        leaves = list(find_datasets(loader.dataset, f'{name}_dataloader.dataset'))
        if len(leaves) > 1:
            keys = ', '.join(key for key, _ in leaves)
            raise ValueError(f'--data names one dataset, but {cfg.filename} uses several: {keys}')
        key, settings = leaves[0]
        cls = dataset_class(settings, key)
        reason = unsupported_reason(Split(key, dict(settings, data_root=None, ann_file=''), cls, False))
        if reason or is_panoptic(cls):
            raise ValueError(
                f'--data needs a config for a CocoDataset, but {key} is a {cls.__name__}. Use a config '
                'such as configs/faster_rcnn_ecanet50_fpn_1x.py'
            )
        for metric in _metrics(cfg, name):
            kind = resolve_type(METRICS, metric.get('type'))
            if not isinstance(kind, type) or not issubclass(kind, CocoMetric):
                raise ValueError(f'--data needs a CocoMetric, but {name}_evaluator is a {metric.get("type")}')


def _check_masks(cfg: Config, found: CocoFolder) -> None:
    """Refuse a model with masks for data without, and do not load or evaluate masks without need."""
    needs_masks = [
        f'{path}.{name}'
        for path, node in iter_parts(cfg.model, 'model')
        for name in _MASK_HEADS
        if node.get(name)
    ]
    if found.has_masks or not needs_masks:
        return
    name = Path(str(cfg.filename)).name
    other = name.replace('mask_rcnn', 'faster_rcnn').replace('mask-rcnn', 'faster-rcnn')
    path = Path(str(cfg.filename)).with_name(other)
    use = path if other != name and path.is_file() else 'configs/faster_rcnn_ecanet50_fpn_1x.py'
    items = [item for split in found.splits.values() for item in split.content['annotations']]
    without = sum(not item.get('segmentation') for item in items)
    raise ValueError(
        f'{cfg.filename} needs masks ({needs_masks[0]}), but {without} of the {len(items)} objects in '
        f'{found.root} have boxes only. For detection without masks, use\n'
        f'    {os.path.relpath(use) if isinstance(use, Path) else use}'
    )


def _set_num_classes(cfg: Config, num_classes: int) -> None:
    """Set the number of classes in all heads, including those that rely on a default."""
    for path, field, _ in class_counts(cfg.model, build_model(cfg)):
        node: Any = cfg
        for name in path.split('.'):
            node = node[int(name)] if isinstance(node, (list, tuple)) else node[name]
        node[field] = num_classes


def _use_split(cfg: Config, loader: str, split: CocoSplit, found: CocoFolder) -> None:
    """Set the dataset of a dataloader and the annotation file of its evaluator."""
    name = next(name for name, other in found.splits.items() if other is split)
    path = split.write(Path(cfg.work_dir).absolute() / 'annotations' / f'{name}.json')
    _, settings = next(find_datasets(cfg[f'{loader}_dataloader'].dataset, ''))
    settings.update(
        type='CocoDataset',
        data_root=f'{found.root}/',
        ann_file=_inside(path, found.root),
        data_prefix=dict(img=f'{_inside(split.images, found.root)}/'.removeprefix('./')),
        metainfo=dict(classes=found.classes),
    )
    if not found.has_masks:
        for transform in _transforms_with_masks(cfg[f'{loader}_dataloader'].dataset):
            transform['with_mask'] = False
    for metric in _metrics(cfg, loader):
        metric['ann_file'] = str(path)
        if not found.has_masks and 'segm' in metric.get('metric', 'bbox'):
            metric['metric'] = 'bbox'


def _metrics(cfg: Config, loader: str) -> List[dict]:
    evaluator = cfg.get(f'{loader}_evaluator') or []
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def _transforms_with_masks(node: Any) -> Iterator[dict]:
    """Yield the settings of the transforms of a dataset that load masks."""
    values = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    if isinstance(node, dict) and node.get('with_mask'):
        yield node
    for value in values:
        yield from _transforms_with_masks(value)


def _inside(path: Path, root: Path) -> str:
    """Return a path relative to a folder that contains it, any other one unchanged."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _make_weights_absolute(cfg: Config) -> None:
    """Make the paths of checkpoints absolute, so that the config works from any folder."""
    nodes = [(cfg, 'load_from')]
    nodes += [
        (node, key) for _, node in iter_parts(cfg.model, 'model') for key in ('checkpoint', 'pretrained')
    ]
    for node, key in nodes:
        path = node.get(key)
        if isinstance(path, str) and '://' not in path and Path(path).expanduser().is_file():
            node[key] = str(Path(path).expanduser().absolute())


def _log(found: CocoFolder) -> None:
    count = len(found.classes)
    names = f'{list(found.classes[:10])}{f" and {count - 10} more" if count > 10 else ""}'
    lines = [f'Data of {found.root}: {count} class{"es" if count > 1 else ""} {names}']
    for name, split in found.splits.items():
        content = split.content
        lines.append(
            f'  {name}: {len(content["images"])} images in {split.images}, {len(content["annotations"])} '
            f'objects of {split.source.name}'
        )
        lines += [f'    corrected in a copy: {text}' for text in split.corrections]
    lines.append(f'  objects have {"masks" if found.has_masks else "boxes, no masks"}')
    print_log('\n'.join(lines))
