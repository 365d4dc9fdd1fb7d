"""Check datasets in COCO's panoptic format: annotation file, PNG files, order of the classes, and heads."""

import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmdet.evaluation import CocoPanopticMetric
from torch import nn

from ..evaluation import PanopticMetric
from ..panoptic_png import VOID, read_segment_ids
from .annotation_checks import check_index, read_annotations
from .config_datasets import Split, class_names
from .fault_report import FaultReport
from .image_checks import missing_files
from .label_checks import Classes, check_categories, check_heads, iter_parts

PANOPTIC_METRICS = (CocoPanopticMetric, PanopticMetric)
_SAMPLE = 5
"""Number of PNG files that are compared with the annotation file."""


def check_panoptic_annotations(split: Split, path: Path) -> dict:
    """Check the annotation file of a panoptic dataset and its PNG files.

    Returns:
        The content of the annotation file.

    Raises:
        FileNotFoundError: If a PNG file is missing.
        ValueError: If the file cannot be used, or the PNG files have other segments.
    """
    content = read_annotations(path)
    check_index({**content, 'annotations': []}, path)
    annotations = content.get('annotations', [])
    if annotations and not any('segments_info' in item for item in annotations if isinstance(item, dict)):
        raise ValueError(
            f'{path} is not a panoptic annotation file: its annotations have no segments_info. Those of COCO '
            f'are annotations/panoptic_train2017.json and panoptic_val2017.json. Name another file with\n'
            f'    --cfg-options {split.key}.ann_file=NAME'
        )
    _check_segments(content, path, is_filtered=split.is_trained and bool(split.settings.get('filter_cfg')))
    if split.is_trained and not _has_things(content):
        raise ValueError(f'{path} has no thing to train on: no segment of a category with isthing=1')
    folder = (split.settings.get('data_prefix') or {}).get('seg')
    if not annotations:
        return content
    if not folder:
        raise ValueError(
            f'{split.key}.data_prefix has no folder of PNG files. '
            f'Use --cfg-options {split.key}.data_prefix.seg=FOLDER/'
        )
    _check_png_files(content, split.resolve_path(folder), f'{split.key}.data_prefix.seg')
    return content


def _check_segments(content: dict, path: Path, is_filtered: bool) -> None:
    faults = FaultReport(path)
    images = {image['id']: image for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    for category in content['categories']:
        if category.get('isthing') not in (0, 1):
            faults.add('categories whose isthing is not 0 or 1', category)
    for annotation in content.get('annotations', []):
        try:
            image, segments = images.get(annotation['image_id']), annotation['segments_info']
            if image is None:
                faults.add('annotations whose image_id is not in images', annotation)
            elif annotation['file_name'] != _png_name(image):  # the name that mmdet reads in training
                faults.add('annotations whose file_name is not that of the image, ending in .png', annotation)
            for segment in segments:
                fault = _segment_fault(segment, categories)
                if fault:
                    faults.add(f'segments {fault}', segment)
        except (KeyError, TypeError) as error:
            faults.add(f'annotations that are not complete ({error})', annotation)
    faults.raise_if_any()
    annotated = {item['image_id'] for item in content.get('annotations', [])}
    for key in images.keys() - annotated if annotated and not is_filtered else ():
        faults.add('images without an annotation', images[key])
    faults.raise_if_any()


def _segment_fault(segment: Dict[str, Any], categories: set) -> str:
    missing = [name for name in ('id', 'category_id', 'area', 'bbox', 'iscrowd') if name not in segment]
    if missing:
        return f'without {missing[0]}'
    if segment['category_id'] not in categories:
        return 'whose category_id is not in categories'
    return f'with the id {VOID}, which means unlabelled' if segment['id'] == VOID else ''


def _has_things(content: dict) -> bool:
    things = {category['id'] for category in content['categories'] if category['isthing']}
    segments = (s for annotation in content.get('annotations', []) for s in annotation['segments_info'])
    return any(segment['category_id'] in things and not segment['iscrowd'] for segment in segments)


def _png_name(image: dict) -> str:
    return image['file_name'].replace('.jpg', '.png')


def _check_png_files(content: dict, folder: str, option: str) -> None:
    """Check that all PNG files exist, and that a sample of them has the segments of the annotation file."""
    annotations: List[dict] = content.get('annotations', [])
    missing = missing_files(folder, [item['file_name'] for item in annotations])
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(annotations)} panoptic PNG files not found, the first is {missing[0]}. '
            f'Name their folder with --cfg-options {option}=FOLDER/'
        )
    images = {image['id']: image for image in content['images']}
    for annotation in annotations[:: max(1, len(annotations) // _SAMPLE)][:_SAMPLE]:
        path, image = os.path.join(folder, annotation['file_name']), images[annotation['image_id']]
        ids = read_segment_ids(path)
        if ids.shape != (image['height'], image['width']):
            raise ValueError(
                f'{path} has height and width {ids.shape}, but the image has '
                f'{(image["height"], image["width"])}'
            )
        listed = {segment['id'] for segment in annotation['segments_info']}
        if listed != set(ids.ravel().tolist()) - {VOID}:
            raise ValueError(
                f'{path} does not have the segments of the annotation file: listed are {sorted(listed)[:5]}. '
                'The colors of a panoptic PNG file are segment ids (R + 256 G + 65536 B), not labels. '
                f'Name another folder with --cfg-options {option}=FOLDER/'
            )


def check_panoptic_classes(
    split: Split, content: dict, path: Path, model: dict, built: Optional[nn.Module]
) -> Classes:
    """Check that things come before stuff, and that the heads have as many things and stuff as the dataset.

    Returns:
        The classes of the dataset: things, then stuff.

    Raises:
        ValueError: If a class would get a wrong label, or a head has another number of classes.
    """
    categories = content['categories']
    classes = class_names(split) or tuple(category['name'] for category in categories)
    check_categories(classes, categories, path, split.key)
    unused = {category['id'] for category in categories if category['name'] not in classes}
    for annotation in content.get('annotations', []):
        if any(segment['category_id'] in unused for segment in annotation['segments_info']):
            raise ValueError(
                f'{path} has segments of a category that {split.key}.metainfo.classes lacks, the first in '
                f'{annotation["file_name"]}. Name all categories, or remove these segments'
            )
    is_thing = [bool(category['isthing']) for category in categories if category['id'] not in unused]
    things = sum(is_thing)
    if is_thing != sorted(is_thing, reverse=True):
        raise ValueError(
            f'{path} lists stuff before things: {classes[is_thing.index(False)]!r} before '
            f'{classes[len(classes) - 1 - is_thing[::-1].index(True)]!r}. The first labels must be those of '
            'things. Put the categories with isthing=1 first, in the file and in metainfo.classes'
        )
    check_heads(model, classes[:things], split.key, built)
    counts = dict(num_things_classes=things, num_stuff_classes=len(classes) - things)
    for part, node in iter_parts(model, 'model'):
        for field, count in counts.items():
            if node.get(field, count) != count:
                raise ValueError(
                    f'{part}.{field} is {node[field]}, but {split.key} has {things} classes of things and '
                    f'{len(classes) - things} of stuff. Use --cfg-options {part}.{field}={count}'
                )
    return classes


def check_panoptic_evaluator(evaluator: dict, key: str, split: Split) -> None:
    """Check that an evaluator of panoptic quality reads the files of the dataset.

    Raises:
        ValueError: If it reads another annotation file or folder.
    """
    dataset = dict(
        ann_file=split.settings.get('ann_file', ''), seg_prefix=split.settings['data_prefix']['seg']
    )
    for field, name in dataset.items():
        expected, given = split.resolve_path(name), evaluator.get(field)
        if given and os.path.realpath(given) != os.path.realpath(expected):
            raise ValueError(
                f'{key}.{field} is {given}, but the dataset uses {expected}. '
                f'Use --cfg-options {key}.{field}={expected}'
            )
