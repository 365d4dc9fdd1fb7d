"""Check the annotation files of evaluators, for ``CocoMetric`` and its subclasses."""

import logging
from pathlib import Path
from typing import Any, Optional, Tuple

from mmdet.evaluation import CocoMetric, LVISMetric
from mmdet.models import BaseRoIHead, TwoStageDetector
from mmdet.registry import METRICS
from mmengine.logging import print_log
from torch import nn

from .annotation_checks import AnnotationUse, check_annotations, check_index, read_annotations
from .coco_readers import is_panoptic
from .config_datasets import Split, is_remote, resolve_type
from .fault_report import WARNING, FaultReport
from .label_checks import Classes
from .panoptic_checks import PANOPTIC_METRICS, check_panoptic_evaluator
from .suspicious_records import find_zero_ids


def check_evaluators(
    evaluators: Any,
    key: str,
    dataset: Optional[Tuple[Split, Classes]],
    model: Optional[nn.Module] = None,
) -> None:
    """Check the annotation files of evaluators.

    Args:
        evaluators: The config's evaluator, or a list of them.
        key: Their name in the config, such as ``val_evaluator``.
        dataset: The dataset and its classes. ``None`` if there are several datasets or it was not checked.
        model: The model, if it was built.

    Raises:
        FileNotFoundError: If an annotation file is missing.
        ValueError: If an annotation file cannot be used or does not match the dataset, or if masks are to be
            evaluated but the model predicts none.
    """
    is_list = isinstance(evaluators, (list, tuple))
    for index, evaluator in enumerate(evaluators if is_list else [evaluators]):
        name = f'{key}.{index}' if is_list else key
        reason = _skip_reason(evaluator, dataset)
        if reason or dataset is None:
            print_log(f'{name} was not checked: {reason}.', level=logging.WARNING)
            continue
        split, classes = dataset
        if is_panoptic(split.cls):
            check_panoptic_evaluator(evaluator, name, split)
            continue
        if 'segm' in metrics_of(evaluator) and not evaluator.get('format_only') and _has_no_masks(model):
            raise ValueError(
                f"{name} has metric='segm', but the model predicts no masks: it has no roi_head.mask_head. "
                f'Use --cfg-options {name}.metric=bbox'
            )
        if evaluator.get('ann_file'):
            ann_file = split.resolve_path(split.settings['ann_file'])
            _check_ground_truth(evaluator, name, Path(ann_file), classes)


def _skip_reason(evaluator: Any, dataset: Optional[Tuple[Split, Classes]]) -> str:
    cls = resolve_type(METRICS, evaluator.get('type') if isinstance(evaluator, dict) else evaluator)
    known: tuple = (CocoMetric, *PANOPTIC_METRICS)
    if dataset:
        known = PANOPTIC_METRICS if is_panoptic(dataset[0].cls) else (CocoMetric,)
    if not isinstance(cls, type) or not issubclass(cls, known) or issubclass(cls, LVISMetric):
        return f'{getattr(cls, "__name__", cls)} is not a {known[0].__name__}'
    if dataset is None:
        return 'it evaluates several datasets, or one that was not checked'
    if is_remote(evaluator.get('ann_file') or '', evaluator.get('backend_args')):
        return 'its annotations are not on the local disk'
    return ''


def metrics_of(evaluator: dict) -> Tuple[str, ...]:
    """Return the metrics of a COCO evaluator."""
    metrics = evaluator.get('metric', 'bbox')
    return (metrics,) if isinstance(metrics, str) else tuple(metrics)


def _has_no_masks(model: Optional[nn.Module]) -> bool:
    """Whether a model is known to predict no masks: a two-stage detector of mmdet without a mask head."""
    return (
        isinstance(model, TwoStageDetector)
        and type(model).predict is TwoStageDetector.predict
        and getattr(type(model.roi_head), 'predict', None) is BaseRoIHead.predict
        and not model.with_mask
    )


def _check_ground_truth(evaluator: dict, key: str, ann_file: Path, classes: Classes) -> None:
    path = Path(evaluator['ann_file'])
    if not path.is_file():
        raise FileNotFoundError(
            f'{key}.ann_file is {path}, which does not exist. The dataset uses {ann_file}. '
            f'Use --cfg-options {key}.ann_file={ann_file}'
        )
    content = read_annotations(path)
    metrics = metrics_of(evaluator)
    check_index(content, path, () if evaluator.get('format_only') else metrics)
    is_same_file = path.resolve() == ann_file.resolve()
    if not is_same_file and _summary(content, classes) != _summary(read_annotations(ann_file), classes):
        raise ValueError(
            f'{key}.ann_file is {path}, but the dataset uses {ann_file}, which has other images or '
            f'categories. Use --cfg-options {key}.ann_file={ann_file}'
        )
    if evaluator.get('format_only'):
        return
    if not content.get('annotations'):
        raise ValueError(
            f'{path} has no annotations to evaluate with. For a test set without public annotations, use '
            f'--cfg-options {key}.format_only=True {key}.outfile_prefix=FOLDER/NAME'
        )
    used = {category['id'] for category in content['categories'] if category['name'] in classes}
    check_annotations(content, AnnotationUse(path, used, metrics=metrics))
    faults = FaultReport(path)
    find_zero_ids(content, faults)
    if faults.of(WARNING):
        print_log(faults.warnings(), level=logging.WARNING)


def _summary(content: dict, classes: Classes) -> tuple:
    """Return the parts of a file that must be the same for the dataset and its evaluator."""
    return (
        {image['id']: Path(image.get('file_name', '')).name for image in content['images']},
        [category['name'] for category in content['categories'] if category['name'] in classes],
    )
