"""Checks of the ground truth that an evaluator reads: mmdet's ``CocoMetric`` and what derives from it."""

import logging
from pathlib import Path
from typing import Any, Optional, Tuple

from mmdet.evaluation import CocoMetric, LVISMetric
from mmdet.models import BaseRoIHead, TwoStageDetector
from mmdet.registry import METRICS
from mmengine.logging import print_log
from torch import nn

from .annotation_checks import Use, check_annotations, check_index, read_annotations
from .label_checks import Classes


def check_evaluators(
    evaluators: Any,
    key: str,
    ann_file: Optional[str],
    classes: Optional[Classes],
    model: Optional[nn.Module] = None,
) -> None:
    """Check the annotation files of evaluators.

    Args:
        evaluators: The config's evaluator, or a list of them.
        key: Their name in the config, such as ``val_evaluator``.
        ann_file: The annotation file of the data set, if it is a single one that is understood.
        classes: The data set's classes.
        model: The built model, if there is one.

    Raises:
        FileNotFoundError: If an annotation file is missing.
        ValueError: If it cannot be evaluated against or is not that of the data set, or masks shall be
            evaluated and the model predicts none.
    """
    is_list = isinstance(evaluators, (list, tuple))
    for index, evaluator in enumerate(evaluators if is_list else [evaluators]):
        name = f'{key}.{index}' if is_list else key
        reason = _not_understood(evaluator, ann_file)
        if reason:
            print_log(f'{name} was not checked: {reason}.', level=logging.WARNING)
            continue
        if 'segm' in _metrics(evaluator) and not evaluator.get('format_only') and _has_no_masks(model):
            raise ValueError(
                f"{name} has metric='segm', and the model predicts no masks: it has no roi_head.mask_head. "
                f'Set --cfg-options {name}.metric=bbox'
            )
        if evaluator.get('ann_file'):
            _check_truth(evaluator, name, Path(ann_file), classes)


def _not_understood(evaluator: Any, ann_file: Optional[str]) -> str:
    kind = evaluator.get('type') if isinstance(evaluator, dict) else evaluator
    if isinstance(kind, str):
        with METRICS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    if not isinstance(kind, type) or not issubclass(kind, CocoMetric) or issubclass(kind, LVISMetric):
        return f'{getattr(kind, "__name__", kind)} is not a CocoMetric'
    if not ann_file:
        return 'it evaluates a data set that was not checked, or several'
    path, backend = evaluator.get('ann_file') or '', (evaluator.get('backend_args') or {}).get('backend')
    if '://' in path or (backend or 'local') != 'local':
        return 'its annotations are not on the local disk'
    return ''


def _metrics(evaluator: dict) -> Tuple[str, ...]:
    metrics = evaluator.get('metric', 'bbox')
    return (metrics,) if isinstance(metrics, str) else tuple(metrics)


def _has_no_masks(model: Optional[nn.Module]) -> bool:
    """Whether a model is a two-stage detector of mmdet's without a mask head; others are not known."""
    return (
        isinstance(model, TwoStageDetector)
        and type(model).predict is TwoStageDetector.predict
        and getattr(type(model.roi_head), 'predict', None) is BaseRoIHead.predict
        and not model.with_mask
    )


def _check_truth(evaluator: dict, key: str, ann_file: Path, classes: Classes) -> None:
    path = Path(evaluator['ann_file'])
    if not path.is_file():
        raise FileNotFoundError(
            f'{key}.ann_file is {path}: no such file; its data set reads {ann_file}: '
            f'set --cfg-options {key}.ann_file={ann_file}'
        )
    truth = read_annotations(path)
    metrics = _metrics(evaluator)
    check_index(truth, path, () if evaluator.get('format_only') else metrics)
    if path.resolve() != ann_file.resolve() and _summary(truth, classes) != _summary(
        read_annotations(ann_file), classes
    ):
        raise ValueError(
            f'{key}.ann_file is {path}, its data set reads {ann_file}, with other images or '
            f'categories: set --cfg-options {key}.ann_file={ann_file}'
        )
    if evaluator.get('format_only'):
        return
    if not truth.get('annotations'):
        raise ValueError(
            f'{path} has no annotations that results could be compared with. For a test set without public '
            f'annotations: --cfg-options {key}.format_only=True {key}.outfile_prefix=FOLDER/NAME'
        )
    used = {category['id'] for category in truth['categories'] if category['name'] in classes}
    check_annotations(truth, Use(path, used, metrics=metrics))
    if any(annotation['id'] == 0 for annotation in truth['annotations']):
        print_log(
            f'{path} has an annotation with the id 0. pycocotools takes that for "no match", so the object '
            'counts as not found: number annotations from 1.',
            level=logging.WARNING,
        )


def _summary(content: dict, classes: Classes) -> tuple:
    """What must agree between the data set's file and the evaluator's."""
    return (
        {image['id']: Path(image.get('file_name', '')).name for image in content['images']},
        [category['name'] for category in content['categories'] if category['name'] in classes],
    )
