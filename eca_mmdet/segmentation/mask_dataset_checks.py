"""Check the datasets of a segmentation config before a run.

Datasets that derive from mmseg's ``BaseSegDataset`` are checked, if their files are on the local disk. For
other datasets, a message in the log states why they were not checked.
"""

import logging
import os
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, METRICS, TRANSFORMS
from torch import nn

from ..datasets.config_datasets import (
    Split,
    class_names,
    dataset_class,
    find_datasets,
    is_remote,
    resolve_type,
)
from ..datasets.image_checks import missing_files
from ..datasets.label_checks import Classes, check_same_labels
from .label_values import LabelUse, absent_classes, label_fault
from .mask_files import read_sample
from .segmentor_checks import (
    check_class_weights_of_ignored,
    check_heads,
    check_pooled_heads,
    iter_heads,
)


class MaskLoading(NamedTuple):
    """The transforms of a pipeline that read images and masks: class and settings."""

    image: Tuple[Any, dict]
    mask: Tuple[Any, dict]


def check_mask_datasets(cfg: Config, splits: Sequence[str], model: Optional[nn.Module] = None) -> None:
    """Check folders, pairs of image and mask, label values, classes, and the heads of the model.

    Args:
        cfg: The config of a run.
        splits: The splits to check: ``'train'``, ``'val'`` or ``'test'``.
        model: The model, if it was built.

    Raises:
        FileNotFoundError: If a folder, image or mask is missing.
        KeyError: If a dataset class is not registered.
        ValueError: If masks cannot be used, or do not match classes, ignore index, ``reduce_zero_label`` or
            the heads.
    """
    trained: Dict[str, Classes] = {}
    evaluated: Dict[str, Classes] = {}
    for name in splits:
        images: Optional[int] = 0
        for key, settings in find_datasets(
            cfg[f'{name}_dataloader']['dataset'], f'{name}_dataloader.dataset'
        ):
            split = Split(key, settings, dataset_class(settings, key), name == 'train')
            reason = _skip_reason(split)
            if reason:
                print_log(f'{key} was not checked: {reason}.', level=logging.WARNING)
                images = None
                continue
            classes = _check_classes(split)
            (trained if split.is_trained else evaluated)[key] = classes
            check_heads(cfg, model, classes, key)
            pairs = _check_files(split)
            images = None if images is None else images + len(pairs)
            ignored = _ignore_index(cfg, name, model)
            labels = _check_labels(split, classes, pairs, ignored)
            if split.is_trained and ignored[0] in labels:
                check_class_weights_of_ignored(model, key)
        if name == 'train':
            check_pooled_heads(cfg, model, images)
    check_same_labels(trained, {**trained, **evaluated})


def _skip_reason(split: Split) -> str:
    cls, settings = split.cls, split.settings
    if not (isinstance(cls, type) and issubclass(cls, BaseSegDataset)):
        return f'{getattr(cls, "__name__", cls)} does not derive from BaseSegDataset'
    places = [settings.get('data_root'), *(settings.get('data_prefix') or {}).values()]
    if any(is_remote(place, settings.get('backend_args')) for place in places):
        return 'its files are not on the local disk'
    return ''


def _check_classes(split: Split) -> Classes:
    classes = class_names(split)
    if len(set(classes)) < len(classes):
        twice = [name for name, count in Counter(classes).items() if count > 1]
        raise ValueError(f'{split.key}.metainfo.classes contains {twice} twice. Give each class its own name')
    return classes


def _check_files(split: Split) -> List[Tuple[str, str]]:
    """Check folders and files. Return the paths of images and masks; the latter are empty without masks."""
    dataset: Any = DATASETS.build({**deepcopy(split.settings), 'lazy_init': True, 'pipeline': []})
    _check_folders(split, dataset)
    try:
        infos = dataset.load_data_list()
    except (AssertionError, KeyError, TypeError) as error:  # those of mmseg's own code
        raise ValueError(
            f'the files of {split.key} cannot be listed: {type(error).__name__}: {error}'
        ) from None
    folder = dataset.data_prefix.get('img_path') or ''
    if not infos:
        suffixes = Counter(Path(name).suffix for _, _, names in os.walk(folder) for name in names)
        raise FileNotFoundError(
            f'no image of {split.key} found in {folder}: its img_suffix is {dataset.img_suffix!r}, and the '
            f'suffixes there are {dict(suffixes.most_common(5))}. Set\n'
            f'    --cfg-options {split.key}.img_suffix=.png'
        )
    pairs = [(info['img_path'], info.get('seg_map_path') or '') for info in infos]
    for kind, index, name in (('images', 0, 'img_path'), ('masks', 1, 'seg_map_path')):
        missing = missing_files('', filter(None, (pair[index] for pair in pairs)))
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(pairs)} {kind} of {split.key} not found, the first is {missing[0]}. '
                f'Each image needs a mask with the same name and the suffix {dataset.seg_map_suffix!r}. Name '
                f'the folder with --cfg-options {split.key}.data_prefix.{name}=FOLDER, the suffix '
                f'with {split.key}.seg_map_suffix'
            )
    _warn_about_extra_masks(split, dataset, {mask for _, mask in pairs})
    return pairs


def _check_folders(split: Split, dataset: Any) -> None:
    root, key = split.settings.get('data_root'), split.key
    if root and not Path(root).is_dir():
        raise FileNotFoundError(
            f'data folder {root} of {key} not found. Create a link with\n    ln -s /path/to/data {root}\n'
            'or name another folder with\n    --cfg-options data_root=/path/to/data'
        )
    if dataset.ann_file and not Path(dataset.ann_file).exists():
        raise FileNotFoundError(
            f'{dataset.ann_file} not found. It is {key}.ann_file: a text file with one image name per line, '
            'without suffix'
        )
    for kind, name in (('image', 'img_path'), ('mask', 'seg_map_path')):
        folder = dataset.data_prefix.get(name)
        if folder and not Path(folder).is_dir():
            inside = sorted(p.relative_to(root).as_posix() for p in Path(root).glob('*/**/')) if root else []
            hint = ''
            if kind == 'mask':
                hint = (
                    '\ntools/make_shapes.py and tools/nuclei_to_coco.py --masks write the masks for a folder '
                    'that was made without them'
                )
            raise FileNotFoundError(
                f'{kind} folder {folder} of {key} not found. Folders in {root or "data_root"}: '
                f'{inside[:8] or "none"}. Name another folder with\n'
                f'    --cfg-options {key}.data_prefix.{name}=FOLDER{hint}'
            )


def _warn_about_extra_masks(split: Split, dataset: Any, used: set) -> None:
    folder = dataset.data_prefix.get('seg_map_path')
    if not folder or dataset.ann_file or split.settings.get('indices') is not None:
        return
    used = {os.path.normpath(path) for path in used}
    extra = sorted(
        path
        for base, _, names in os.walk(folder)
        for path in (os.path.normpath(os.path.join(base, name)) for name in names)
        if path.endswith(dataset.seg_map_suffix) and path not in used
    )
    if extra:
        print_log(f'{len(extra)} masks of {split.key} have no image, first {extra[0]}', level=logging.WARNING)


def _ignore_index(cfg: Config, name: str, model: Optional[nn.Module]) -> Tuple[int, str]:
    """Return the ignored label of the first head in training, of the metric in evaluation, and its option."""
    if name == 'train':
        for path, settings, head in iter_heads(cfg, model):
            return getattr(head, 'ignore_index', settings.get('ignore_index', 255)), f'{path}.ignore_index'
    evaluators = cfg.get(f'{name}_evaluator') or []
    for metric in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        cls = resolve_type(METRICS, metric.get('type'))
        if isinstance(cls, type) and issubclass(cls, IoUMetric):
            return metric.get('ignore_index', 255), f'{name}_evaluator.ignore_index'
    return 255, f'{name}_evaluator.ignore_index'


def _check_labels(
    split: Split, classes: Classes, pairs: List[Tuple[str, str]], ignored: Tuple[int, str]
) -> Set[int]:
    """Check a sample of masks. Return the labels in it, which are empty if it was not checked."""
    loading = _mask_loading(split)
    reason = _unknown_labels(split, loading, pairs)
    if reason:
        print_log(f'The masks of {split.key} were not checked: {reason}.', level=logging.WARNING)
        return set()
    dataset: Any = DATASETS.build({**deepcopy(split.settings), 'lazy_init': True, 'pipeline': []})
    own = loading.mask[1].get('reduce_zero_label')
    if own is not None and own != dataset.reduce_zero_label:
        raise ValueError(
            f'{split.key}.reduce_zero_label is {dataset.reduce_zero_label}, but its LoadAnnotations has '
            f'reduce_zero_label={own}. Remove the latter: LoadAnnotations then uses the option of the dataset'
        )
    compare_sizes = getattr(loading.image[0], 'transform', None) is LoadImageFromFile.transform
    backend = loading.mask[1].get('imdecode_backend', 'pillow')
    sample = read_sample(pairs, split.key, backend, compare_sizes)
    use = LabelUse(split.key, classes, *ignored, dataset.reduce_zero_label, dataset.label_map)
    fault = label_fault(sample.pixels, use)
    if fault:
        raise ValueError(fault)
    absent = absent_classes(sample.pixels, use)
    if absent and sample.is_complete and split.is_trained:
        print_log(
            f'{len(absent)} classes of {split.key} have no pixel in its masks: {absent[:5]}. They cannot be '
            'trained.',
            level=logging.WARNING,
        )
    return {use.used_label(value) for value in sample.pixels}


def _mask_loading(split: Split) -> MaskLoading:
    pipeline = [node for node in split.settings.get('pipeline') or [] if isinstance(node, dict)]
    found = [(resolve_type(TRANSFORMS, node.get('type')), node) for node in pipeline]
    masks = [item for item in found if isinstance(item[0], type) and issubclass(item[0], LoadAnnotations)]
    none: Tuple[Any, dict] = (None, {})
    return MaskLoading(found[0] if found else none, masks[0] if masks else none)


def _unknown_labels(split: Split, loading: MaskLoading, pairs: List[Tuple[str, str]]) -> str:
    """Return why the labels of a dataset cannot be checked. Empty if they can."""
    cls = loading.mask[0]
    if not pairs[0][1]:
        return 'its data_prefix has no seg_map_path'
    if cls is None:
        return 'its pipeline has no LoadAnnotations'
    if cls._load_seg_map is not LoadAnnotations._load_seg_map:
        return f'{cls.__name__} has its own code to read masks'
    return ''
