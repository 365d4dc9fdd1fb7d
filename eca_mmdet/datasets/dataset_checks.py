"""Check the datasets of a config before a run.

Only COCO annotations on the local disk that are read by mmdet's ``CocoDataset`` or ``CocoPanopticDataset``
are checked. For other datasets, a message in the log states why they were not checked.
"""

import logging
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from mmdet.datasets import CityscapesDataset, CocoDataset, Objects365V1Dataset, Objects365V2Dataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.fileio import join_path
from mmengine.logging import print_log
from torch import nn

from ..environment import tool
from .annotation_checks import AnnotationUse, check_annotations, check_index, read_annotations
from .coco_readers import is_panoptic, unsupported_reason
from .config_datasets import Split, class_names, dataset_class, find_datasets, resolve_type
from .evaluator_checks import check_evaluators
from .fault_report import WARNING, FaultReport
from .image_checks import check_images
from .label_checks import Classes, check_categories, check_heads, check_same_labels
from .panoptic_checks import check_panoptic_annotations, check_panoptic_classes
from .suspicious_records import find_suspicious_records

_MASK_METHODS = ('transform', '_load_masks', '_process_masks')
_FILTERS = {CocoDataset.filter_data, CityscapesDataset.filter_data}


def check_datasets(cfg: Config, splits: Sequence[str], model: Optional[nn.Module] = None) -> None:
    """Check the COCO datasets of a config, their evaluators, and the number of classes of the model.

    Args:
        cfg: The config of a run.
        splits: The splits to check: ``'train'``, ``'val'`` or ``'test'``.
        model: The model, if it was built. Its heads provide the defaults of settings that the config omits.

    Raises:
        FileNotFoundError: If a folder, annotation file or image is missing.
        KeyError: If a dataset class is not registered.
        ValueError: If an annotation file cannot be used, classes would get wrong labels, or a head has
            another number of classes.
    """
    trained: Dict[str, Classes] = {}
    evaluated: Dict[str, Classes] = {}
    for name in splits:
        found = list(find_datasets(cfg[f'{name}_dataloader']['dataset'], f'{name}_dataloader.dataset'))
        checked: List[Tuple[Split, Classes]] = []
        for key, settings in found:
            split = Split(key, settings, dataset_class(settings, key), name == 'train')
            reason = unsupported_reason(split)
            if reason:
                print_log(f'{key} was not checked: {reason}.', level=logging.WARNING)
                continue
            if is_panoptic(split.cls):
                classes = _check_panoptic_dataset(split, cfg.model, model)
            else:
                classes = _check_coco_dataset(split)
                check_heads(cfg.model, classes, key, model)
                if split.is_trained:
                    _check_masks_are_loaded(cfg.model, split)
            checked.append((split, classes))
            (trained if split.is_trained else evaluated)[key] = classes
        if name != 'train':
            only = checked[0] if len(found) == len(checked) == 1 else None
            check_evaluators(cfg.get(f'{name}_evaluator'), f'{name}_evaluator', only, model)
    if 'language_model' not in cfg.model:  # classes of open-vocabulary detectors are words, not labels
        check_same_labels(trained, {**trained, **evaluated})


def _check_coco_dataset(split: Split) -> Classes:
    path = annotation_file(split)
    content = read_annotations(path)
    check_index(content, path)
    _check_boxes(content, path)
    categories = content['categories']
    if split.cls.load_data_list is Objects365V1Dataset.load_data_list:
        categories = sorted(categories, key=lambda category: category['id'])
    classes = class_names(split) or tuple(category['name'] for category in categories)
    check_categories(classes, categories, path, split.key)
    used = {category['id'] for category in categories if category['name'] in classes}
    transforms = list(iter_transforms(split.settings.get('pipeline') or []))
    usable = check_annotations(content, AnnotationUse(path, used, mask_format(transforms)))
    images = _filter_images(split, content, used, path)
    if split.is_trained and not usable:
        print_log(
            f'{path} has no annotation to train on: all of them are missing, have no area, lie outside '
            f'their image or belong to a category that {split.key} does not use',
            level=logging.WARNING,
        )
    if split.cls.load_data_list is Objects365V2Dataset.load_data_list:
        reason = 'renames'
    elif split.cls.filter_data not in _FILTERS:
        reason = 'selects'
    else:
        check_images(split, images, path, transforms)
        return classes
    message = f'The images of {split.key} were not checked: the dataset class {reason} them.'
    print_log(message, level=logging.WARNING)
    return classes


def _check_boxes(content: dict, path: Path) -> None:
    """Reject boxes in another format, and warn about records that look wrong."""
    faults = FaultReport(path)
    find_suspicious_records({'annotations': [], **content}, faults)
    faults.raise_if_any()
    if faults.of(WARNING):
        print_log(
            f'{faults.warnings()}\nFor examples, pictures and the faults of the images:\n'
            f'    {tool("check_dataset.py")} {path}',
            level=logging.WARNING,
        )


def _check_panoptic_dataset(split: Split, model: dict, built: Optional[nn.Module]) -> Classes:
    path = annotation_file(split)
    content = check_panoptic_annotations(split, path)
    transforms = list(iter_transforms(split.settings.get('pipeline') or []))
    check_images(split, content['images'], path, transforms)
    return check_panoptic_classes(split, content, path, model, built)


def annotation_file(split: Split) -> Path:
    """Return the annotation file of a dataset.

    Raises:
        FileNotFoundError: If it does not exist.
    """
    root, name = split.settings.get('data_root') or '', split.settings.get('ann_file') or ''
    path = Path(split.resolve_path(name))
    if path.is_file():
        return path
    if root and not Path(root).is_dir():
        raise FileNotFoundError(
            f'data folder {root} of {split.key} not found. It must contain annotations/ and the image '
            f'folders. Create a link with\n    ln -s /path/to/coco {root}\n'
            'or name another folder with\n    --cfg-options data_root=/path/to/coco'
        )
    files = sorted(str(file.relative_to(root)) for file in Path(root).glob('**/*.json'))[:8] if root else []
    evaluator = split.key.split('_')[0] + '_evaluator'
    raise FileNotFoundError(
        f'annotation file {path if name else repr(name)} of {split.key} not found. JSON files in '
        f'{root or "the folder"}: {files or "none"}. Name another file with\n'
        f'    --cfg-options {split.key}.ann_file=NAME'
        + ('' if split.is_trained else f' {evaluator}.ann_file={join_path(root, "NAME")}')
    )


def iter_transforms(pipeline: Any) -> Iterator[Tuple[type, dict]]:
    """Yield the class and settings of every transform of a pipeline, including nested ones."""
    for item in pipeline.values() if isinstance(pipeline, dict) else pipeline:
        if isinstance(item, dict) and 'type' in item:
            yield resolve_type(TRANSFORMS, item['type']), item
        if isinstance(item, (dict, list, tuple)):
            yield from iter_transforms(item)


def mask_format(transforms: List[Tuple[type, dict]]) -> Optional[str]:
    """Return how mmdet's ``LoadAnnotations`` loads masks: ``'bitmap'``, ``'polygon'`` or ``None``."""
    for cls, settings in transforms:
        # A custom class may create masks in another way, for example from boxes.
        is_from_mmdet = all(
            getattr(cls, name, None) is getattr(LoadAnnotations, name) for name in _MASK_METHODS
        )
        if is_from_mmdet and settings.get('with_mask'):
            return 'bitmap' if settings.get('poly2mask', True) else 'polygon'
    return None


def _check_masks_are_loaded(model: dict, split: Split) -> None:
    transforms = list(iter_transforms(split.settings.get('pipeline') or []))
    head = (model.get('roi_head') or {}).get('mask_head')
    if head and any(cls is LoadAnnotations for cls, _ in transforms) and not mask_format(transforms):
        raise ValueError(
            f'model.roi_head.mask_head needs masks for training, but the pipeline of {split.key} does not '
            'load masks. Set with_mask=True in its LoadAnnotations, or model.roi_head.mask_head=None to '
            'train on boxes only'
        )


def _filter_images(split: Split, content: dict, used: set, path: Path) -> List[dict]:
    """Return the images that pass the filter of a dataset."""
    images, rules = content['images'], split.settings.get('filter_cfg')
    if split.settings.get('test_mode') or not rules or split.cls.filter_data not in _FILTERS:
        return images
    min_size = rules.get('min_size', 0) if isinstance(rules, dict) else None
    if isinstance(min_size, bool) or not isinstance(min_size, (int, float)):
        raise ValueError(
            f'{split.key}.filter_cfg is {rules}. Use filter_cfg=dict(filter_empty_gt=True, min_size=32)'
        )
    if rules.get('filter_empty_gt', False):
        annotations = content.get('annotations', [])
        annotated = {item['image_id'] for item in annotations if item['category_id'] in used}
        images = [image for image in images if image['id'] in annotated]
    images = [image for image in images if min(image['width'], image['height']) >= min_size]
    if not images:
        raise ValueError(
            f'{path} has no images for {split.key}: none of its {len(content["images"])} images passes '
            f'filter_cfg={dict(rules)}. At least one annotation must have the id of an image and of a used '
            'category'
        )
    return images
