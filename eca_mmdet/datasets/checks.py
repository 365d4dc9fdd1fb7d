"""Checks of COCO-format data sets before a run: folders, files, JSON, categories."""

import json
import logging
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import print_log


def check_datasets(cfg: Config, splits: Sequence[str]) -> None:
    """Check every COCO-format data set of a config, and the classes of its model.

    Args:
        cfg: The config of a run.
        splits: Those to check, of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        FileNotFoundError: If a folder, annotation file or the first image is missing.
        ValueError: If an annotation file does not parse, lacks a class of the config, or
            a head's ``num_classes`` differs from the number of classes.
    """
    for split in splits:
        for dataset in _datasets(cfg[f'{split}_dataloader']['dataset']):
            if 'ann_file' in dataset:
                classes = _check_dataset(dataset, split)
                _check_heads(cfg.model, classes, split)
        evaluators = cfg.get(f'{split}_evaluator') or []
        for evaluator in [evaluators] if isinstance(evaluators, dict) else evaluators:
            _check_evaluator(evaluator, cfg[f'{split}_dataloader']['dataset'], split)


def _datasets(node: dict) -> Iterator[dict]:
    """The data sets below wrappers such as ``RepeatDataset`` or ``ConcatDataset``."""
    if 'dataset' in node:
        yield from _datasets(node['dataset'])
    elif 'datasets' in node:
        for inner in node['datasets']:
            yield from _datasets(inner)
    else:
        yield node


def _check_dataset(dataset: dict, split: str) -> Tuple[str, ...]:
    root = Path(dataset.get('data_root') or '')
    if not root.is_dir():
        raise FileNotFoundError(
            f'data folder {root} of the {split} set: no such folder. Link or name it: '
            f'ln -s /path/to/coco {root}, or --cfg-options data_root=/path/to/coco '
            '(with annotations/ and the image folders in it)'
        )
    ann_file = root / dataset['ann_file']
    if not ann_file.is_file():
        there = sorted(str(path.relative_to(root)) for path in root.glob('**/*.json'))[:8]
        raise FileNotFoundError(
            f'annotation file {ann_file} of the {split} set: no such file. JSON files in {root}: '
            f'{there or "none"}. Choose one with --cfg-options {split}_dataloader.dataset.ann_file=NAME'
            + (f' {split}_evaluator.ann_file={root}/NAME' if split != 'train' else '')
        )
    annotations = read_annotations(ann_file)
    classes = _classes(dataset)
    _check_classes(classes, annotations, ann_file, split)
    folder = root / (dataset.get('data_prefix') or {}).get('img', '')
    image = folder / annotations['images'][0]['file_name']
    if not image.is_file():
        raise FileNotFoundError(
            f'image {image}, the first of {ann_file}: no such file. Name the image folder with '
            f'--cfg-options {split}_dataloader.dataset.data_prefix.img=FOLDER/'
        )
    return classes


def read_annotations(path: Path) -> dict:
    """Read a COCO annotation file.

    Raises:
        ValueError: If it is not JSON, or lacks images, annotations or categories.
    """
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}; the file is damaged or incomplete') from None
    wanted = ('images', 'annotations', 'categories')
    absent = [
        key for key in wanted if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if absent or not content['images']:
        raise ValueError(
            f'{path} is not a COCO detection file with images: '
            f'it needs the lists {wanted}, {absent or ["images"]} missing or empty'
        )
    return content


def _check_evaluator(evaluator: dict, dataset: dict, split: str) -> None:
    """An evaluator that reads other annotations than the data set compares with the wrong truth."""
    if not evaluator.get('ann_file') or 'ann_file' not in dataset:
        return
    wanted = Path(dataset.get('data_root') or '', dataset['ann_file'])
    if Path(evaluator['ann_file']).resolve() != wanted.resolve():
        raise ValueError(
            f'{split}_evaluator.ann_file is {evaluator["ann_file"]}, its data set reads {wanted}: '
            f'set --cfg-options {split}_evaluator.ann_file={wanted}'
        )


def _classes(dataset: dict) -> Tuple[str, ...]:
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        classes = DATASETS.get(dataset['type']).METAINFO['classes']
    return (classes,) if isinstance(classes, str) else tuple(classes)


def _check_classes(classes: Tuple[str, ...], annotations: dict, ann_file: Path, split: str) -> None:
    names: List[str] = [category['name'] for category in annotations['categories']]
    absent = [name for name in classes if name not in names]
    if absent:
        raise ValueError(
            f'{ann_file} lacks {len(absent)} of the {len(classes)} classes of the {split} set: {absent[:5]}. '
            f'Its categories are {names[:10]}{" ..." if len(names) > 10 else ""}. Write a config with\n'
            f'    metainfo = dict(classes={tuple(names[:3]) if len(names) > 3 else tuple(names)!r})'
            f'{"  # and so on" if len(names) > 3 else ""}\n'
            f'in its data sets and num_classes={len(names)} in its heads; '
            'configs/mask_rcnn_ecanet18_fpn_nuclei.py is an example'
        )
    ordered = tuple(name for name in names if name in classes)
    if ordered != classes:
        raise ValueError(
            f'{ann_file} lists the classes of the {split} set in another order or twice, and mmdet numbers '
            f'them by that order; write a config with\n    metainfo = dict(classes={ordered!r})'
        )
    extra = [name for name in names if name not in classes]
    if extra:
        print_log(
            f'{ann_file} has {len(extra)} categories that the config does not use: {extra[:5]}',
            level=logging.WARNING,
        )


def _check_heads(model: dict, classes: Tuple[str, ...], split: str) -> None:
    for key, head in _nodes_with_classes(model, 'model'):
        if head['num_classes'] != len(classes):
            raise ValueError(
                f'{key}.num_classes is {head["num_classes"]}, the {split} set has {len(classes)} classes '
                f'{classes[:3]}: set --cfg-options {key}.num_classes={len(classes)}'
            )


def _nodes_with_classes(node: dict, key: str) -> Iterator[Tuple[str, dict]]:
    if isinstance(node.get('num_classes'), int):
        yield key, node
    for name, value in node.items():
        for inner in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(inner, dict):
                yield from _nodes_with_classes(inner, f'{key}.{name}')
