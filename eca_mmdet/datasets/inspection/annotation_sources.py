"""Find the annotation files to inspect, their image folders and how they are used."""

import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from mmengine.config import Config

from ..annotation_checks import read_annotations
from ..coco_readers import is_panoptic, unsupported_reason
from ..config_datasets import Split, class_names, dataset_class, find_datasets
from ..dataset_checks import annotation_file, iter_transforms, mask_format
from ..evaluator_checks import metrics_of
from ..image_checks import skip_reason, uses_orientation
from ..label_checks import Classes

SUPPORTED = (
    'Supported are annotation files in COCO format for detection and instance segmentation, folders with '
    'such files, and configs of mmdet whose datasets read such files'
)
_LAYOUTS = (
    '{root}/{split}',
    '{root}/images/{split}',
    '{root}/images',
    '{folder}',
    '{folder}/images',
    '{root}',
)
_SAMPLE = 20


class Source(NamedTuple):
    """An annotation file and its use.

    Args:
        name: Its name in reports, such as ``'train'``.
        ann_file: The file.
        folder: The image folder. Empty if the images cannot be checked.
        is_trained: Whether the file is used for training.
        classes: The classes of the config. Empty for those of the file.
        mask_format: How masks are loaded: ``'bitmap'``, ``'polygon'`` or ``None``. By default as bitmaps, if
            most annotations of the file have masks.
        metrics: The metrics of the evaluation. By default bbox and, with masks, segm.
        uses_orientation: Whether images are turned by their EXIF orientation.
        key: The name of the dataset in the config.
    """

    name: str
    ann_file: Path
    folder: str
    is_trained: bool
    classes: Classes = ()
    mask_format: Optional[str] = 'by content'
    metrics: Optional[Tuple[str, ...]] = None
    uses_orientation: bool = True
    key: str = ''


def sources_of_files(paths: Sequence[Union[str, Path]], images: Sequence[str] = ()) -> List[Source]:
    """Return the sources of annotation files, or of one folder that contains them.

    Args:
        paths: One or two annotation files (the second one is for validation), or a folder.
        images: The image folder of each file. By default they are searched for in the usual places.

    Raises:
        FileNotFoundError: If a file or image folder is missing.
        ValueError: If the numbers of files and image folders do not fit.
    """
    if len(paths) > 2:
        raise ValueError(f'{len(paths)} paths are given: name one or two annotation files, or a folder')
    files = [Path(path).expanduser() for path in paths]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f'{file}: no such file or folder. {SUPPORTED}')
    if len(files) == 1 and files[0].is_dir():
        files = list(_files_of_folder(files[0]))
    if images and len(images) != len(files):
        raise ValueError(f'{len(images)} image folders are given for {len(files)} annotation files')
    found = []
    for index, file in enumerate(files):
        folder = str(Path(images[index]).expanduser()) if images else _find_image_folder(file)
        if not Path(folder).is_dir():
            raise FileNotFoundError(f'{folder}: no such folder. Name the image folder with --images FOLDER')
        is_trained = index == 0 if len(files) > 1 else 'train' in file.stem
        name = ('train' if is_trained else 'val') if len(files) > 1 else file.stem
        found.append(Source(name, file, folder, is_trained))
    return found


def _files_of_folder(root: Path) -> Iterator[Path]:
    """Yield the annotation files of training and validation of a dataset in one of the usual layouts."""
    for split in ('train', 'val'):
        patterns = [f'annotations/instances_{split}*.json', f'annotations/*{split}*.json', f'*{split}*.json']
        patterns.append(f'{split}*/_annotations.coco.json')  # of Roboflow: train and valid
        files = [file for pattern in patterns for file in sorted(root.glob(pattern))]
        if not files:
            raise FileNotFoundError(
                f'{root} has no annotation file of the {split} set, such as '
                f'annotations/instances_{split}2017.json. Name the annotation files'
            )
        yield files[0]


def _find_image_folder(file: Path) -> str:
    """Return the folder that has most images of a sample.

    Raises:
        FileNotFoundError: If no folder has any.
    """
    try:
        records = read_annotations(file)['images']
    except ValueError:  # reported later, with its name
        return str(file.parent)
    names = [item['file_name'] for item in records if isinstance(item, dict) and item.get('file_name')]
    names = [str(name) for name in names[:: max(1, len(names) // _SAMPLE)]]
    split = file.stem.removeprefix('instances_')
    splits = dict.fromkeys((split, split.rstrip('0123456789'), f'{split}2017'))
    root = file.parent.parent if file.parent.name == 'annotations' else file.parent
    places: Dict[str, int] = {}
    for layout in _LAYOUTS:
        for name in splits:
            place = os.path.normpath(layout.format(root=root, folder=file.parent, split=name))
            places[place] = sum(os.path.isfile(os.path.join(place, image)) for image in names)
    best = max(places, key=lambda place: places[place])
    if names and not places[best]:
        raise FileNotFoundError(
            f'no image of {file} found, such as {names[0]}. Tried: {", ".join(places)}. '
            'Name the image folder with --images FOLDER'
        )
    return best


def sources_of_config(cfg: Config) -> Tuple[List[Source], List[str]]:
    """Return the sources of a config, and why its other datasets cannot be inspected.

    Args:
        cfg: A config of mmdet.

    Raises:
        FileNotFoundError: If an annotation file is missing.
        ValueError: If no dataset of the config is supported.
    """
    found: List[Source] = []
    skipped: List[str] = []
    for name in ('train', 'val'):
        dataset = (cfg.get(f'{name}_dataloader') or {}).get('dataset')
        for key, settings in find_datasets(dataset, f'{name}_dataloader.dataset') if dataset else ():
            split = Split(key, settings, dataset_class(settings, key), name == 'train')
            reason = 'it has panoptic annotations' if is_panoptic(split.cls) else unsupported_reason(split)
            if reason:
                skipped.append(f'{key} was not inspected: {reason}')
            else:
                found.append(_source_of_split(split, name, cfg))
    if not found:
        raise ValueError('\n'.join(['the config has no dataset to inspect.', *skipped, SUPPORTED]))
    if len({source.name for source in found}) < len(found):
        found = [source._replace(name=source.key.replace('_dataloader.dataset', '')) for source in found]
    return found, skipped


def _source_of_split(split: Split, name: str, cfg: Config) -> Source:
    transforms = list(iter_transforms(split.settings.get('pipeline') or []))
    cls, loader = transforms[0] if transforms else (None, {})
    folder = split.resolve_path((split.settings.get('data_prefix') or {}).get('img') or '')
    evaluators = cfg.get('val_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    metrics = {metric for item in evaluators for metric in metrics_of(item)} & {'bbox', 'segm', 'proposal'}
    return Source(
        name,
        annotation_file(split),
        '' if skip_reason(folder, cls, loader) else folder,
        split.is_trained,
        class_names(split),
        mask_format(transforms),
        () if split.is_trained else tuple(sorted(metrics)),
        uses_orientation(loader),
        split.key,
    )
