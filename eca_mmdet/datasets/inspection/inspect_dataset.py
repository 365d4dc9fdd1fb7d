"""Inspect all annotation files and images of a dataset."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from ...hosts import host_of
from ..annotation_checks import (
    AnnotationUse,
    find_annotation_faults,
    find_index_faults,
    read_annotations,
    sound_records,
)
from ..dataset_checks import check_datasets
from ..fault_report import DataFault, FaultReport, Kind
from ..label_checks import check_categories
from ..suspicious_masks import find_suspicious_masks
from ..suspicious_records import find_suspicious_records, find_zero_ids
from .annotation_sources import SUPPORTED, Source, sources_of_config, sources_of_files
from .dataset_report import DatasetReport, SourceReport
from .dataset_statistics import count_objects, find_notes
from .image_files import inspect_images
from .similar_images import find_shared_images

REFUSED = 'configs that do not fit the data'
NOTHING_TO_TRAIN = Kind(
    'files without usable annotations',
    remedy='all annotations are missing, crowds, without area, outside the image or of unknown categories',
)


def inspect_dataset(
    data: Union[Config, str, Path, Sequence[Union[str, Path]]],
    images: Sequence[str] = (),
    reads_images: bool = True,
) -> DatasetReport:
    """Inspect a dataset: annotations, image files, and train against val.

    Args:
        data: A config of mmdet; an annotation file in COCO format, or two of them for train and val; or a
            folder that contains them.
        images: The image folder of each annotation file. By default they are searched for.
        reads_images: Whether to decode all images, which finds damaged files and images that train and val
            share.

    Returns:
        The findings, and numbers of objects.

    Raises:
        FileNotFoundError: If a file or image folder is missing.
        ValueError: If ``data`` has no dataset that can be inspected.
    """
    if isinstance(data, Config):
        with DefaultScope.overwrite_default_scope('mmdet'):
            return _inspect_config(data, reads_images)
    paths = [data] if isinstance(data, (str, Path)) else data
    return _inspect_sources(sources_of_files(paths, images), reads_images)


def _inspect_config(cfg: Config, reads_images: bool) -> DatasetReport:
    if host_of(cfg).scope != 'mmdet':
        raise ValueError(f'this is a config of {host_of(cfg).title}. {SUPPORTED}')
    sources, skipped = sources_of_config(cfg)
    report = _inspect_sources(sources, reads_images)
    report.skipped = skipped
    if report.is_usable:
        _check_config(cfg, report.shared)
    return report


def _inspect_sources(sources: List[Source], reads_images: bool) -> DatasetReport:
    parts = []
    for source in sources:
        print_log(f'{source.name}: {source.ann_file}')
        parts.append(_inspect_source(source, reads_images))
    report = DatasetReport(parts)
    for train in parts:
        for val in parts:
            if train.source.is_trained and not val.source.is_trained:
                find_shared_images(train.images, val.images, report.shared)
    return report


def _inspect_source(source: Source, reads_images: bool) -> SourceReport:
    """Inspect an annotation file and its images."""
    faults = FaultReport(source.ann_file)
    result = SourceReport(source, faults)
    try:
        content = {'annotations': [], **read_annotations(source.ann_file)}
    except DataFault as error:
        faults.add(Kind(error.kind, remedy=str(error)), str(source.ann_file))
        return result
    content = find_index_faults(content, faults)
    _check_classes(content, source, faults)
    mask_format = _mask_format(content, source)
    names = source.classes or tuple(category['name'] for category in content['categories'])
    used = {category['id'] for category in content['categories'] if category['name'] in names}
    find_annotation_faults(content, AnnotationUse(source.ann_file, used, mask_format), faults)
    content = sound_records(content, faults)
    metrics = source.metrics
    if metrics is None:
        metrics = ('bbox', 'segm') if mask_format else ('bbox',)
    if metrics:
        content = find_index_faults(content, faults, metrics)
        find_annotation_faults(content, AnnotationUse(source.ann_file, used, metrics=metrics), faults)
        content = sound_records(content, faults)
        find_zero_ids(content, faults)
    find_suspicious_records(content, faults)
    if mask_format:
        find_suspicious_masks(content, faults)
    kept = find_annotation_faults(_without_crowds(content), AnnotationUse(source.ann_file, used), faults)
    if not kept:
        faults.add(NOTHING_TO_TRAIN, str(source.ann_file))
    find_notes(content, faults)
    result.content, result.numbers = content, count_objects(content)
    if reads_images and source.folder:
        result.images = inspect_images(source.folder, content['images'], faults, source.uses_orientation)
    return result


def _mask_format(content: dict, source: Source) -> Optional[str]:
    """Return how masks are loaded. Without a config, as bitmaps if most annotations have masks."""
    if source.mask_format != 'by content':
        return source.mask_format
    annotations = content['annotations']
    return (
        'bitmap'
        if 2 * sum(bool(item.get('segmentation')) for item in annotations) > len(annotations)
        else None
    )


def _without_crowds(content: dict) -> dict:
    annotations = [item for item in content['annotations'] if not item.get('iscrowd')]
    return {**content, 'annotations': annotations}


def _check_classes(content: dict, source: Source, faults: FaultReport) -> None:
    categories = content['categories']
    classes = source.classes or tuple(dict.fromkeys(category['name'] for category in categories))
    try:
        with redirect_stdout(io.StringIO()):  # unused categories are in the report
            check_categories(classes, categories, source.ann_file, source.key or source.name)
    except DataFault as error:
        faults.add(Kind(error.kind, remedy=str(error)), str(source.ann_file))


def _check_config(cfg: Config, faults: FaultReport) -> None:
    """Find what else the check before a training refuses, such as heads with another number of classes."""
    splits = [split for split in ('train', 'val') if cfg.get(f'{split}_dataloader')]
    try:
        with redirect_stdout(io.StringIO()):  # warnings are in the report
            check_datasets(cfg, splits)
    except (ValueError, KeyError, OSError) as error:
        message = str(error.args[0]) if isinstance(error, KeyError) else str(error)
        faults.add(Kind(REFUSED, remedy=message), 'the config')
