"""Checks of the data sets of a config before a run.

What is understood is COCO's format, read by mmdet's ``CocoDataset``, from a local disk. For all other data
a line in the log says what was not checked, and why.
"""

import logging
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from mmdet.datasets import CityscapesDataset, CocoDataset, Objects365V1Dataset, Objects365V2Dataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.config import Config
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.registry import Registry
from mmengine.utils import is_abs
from torch import nn

from .annotation_checks import Use, check_annotations, check_index, read_annotations
from .evaluator_checks import check_evaluators
from .image_checks import check_images
from .label_checks import Classes, check_categories, check_heads, check_same_labels

_LOADERS = {cls.load_data_list for cls in (CocoDataset, Objects365V1Dataset, Objects365V2Dataset)}
_READING = ('COCOAPI', '__init__', '_join_prefix', 'full_init', 'parse_data_info')
_MASK_READING = ('transform', '_load_masks', '_process_masks')
_FILTERS = {CocoDataset.filter_data, CityscapesDataset.filter_data}


class Split(NamedTuple):
    """A data set of a config, below its wrappers.

    Args:
        key: Its name in the config, such as ``train_dataloader.dataset``.
        node: Its settings.
        kind: Its class.
        is_trained: Whether it is trained on.
    """

    key: str
    node: dict
    kind: type
    is_trained: bool

    def path(self, name: str) -> str:
        """Join a path of the settings with ``data_root``, as mmengine does."""
        root = self.node.get('data_root')
        if '://' in str(root) and name:  # mmengine would ask the storage backend
            return f'{root}/{name}'
        return join_path(root, name) if root and name and not is_abs(name) else name


def check_datasets(cfg: Config, splits: Sequence[str], model: Optional[nn.Module] = None) -> None:
    """Check every COCO-format data set of a config, its evaluators, and the classes of its model.

    Args:
        cfg: The config of a run.
        splits: Those to check, of ``'train'``, ``'val'`` and ``'test'``.
        model: The built model, if there is one: it tells the defaults of heads.

    Raises:
        FileNotFoundError: If a folder, annotation file or image is missing.
        KeyError: If there is no such data set class.
        ValueError: If an annotation file cannot be used, names and labels of classes would be
            mixed, or a head has another number of classes.
    """
    labels: Dict[bool, Dict[str, Classes]] = {True: {}, False: {}}
    for name in splits:
        found = list(find_datasets(cfg[f'{name}_dataloader']['dataset'], f'{name}_dataloader.dataset'))
        for key, node in found:
            split = Split(key, node, dataset_class(node, key), name == 'train')
            reason = why_not_checked(split)
            if reason:
                print_log(f'{key} was not checked: {reason}.', level=logging.WARNING)
                continue
            labels[split.is_trained][key] = classes = _check_coco(split)
            check_heads(cfg.model, classes, key, model)
            if split.is_trained:
                _check_masks_are_loaded(cfg.model, split)
        single = found[0] if len(found) == 1 and found[0][0] in labels[name == 'train'] else None
        if name != 'train':
            path = single and Split(*single, CocoDataset, False).path(single[1]['ann_file'])
            classes = single and labels[False][single[0]]
            check_evaluators(cfg.get(f'{name}_evaluator'), f'{name}_evaluator', path, classes, model)
    if 'language_model' not in cfg.model:  # its classes are words
        check_same_labels(labels[True], {**labels[True], **labels[False]})


def find_datasets(node: Any, key: str) -> Iterator[Tuple[str, dict]]:
    """The data sets below wrappers such as ``RepeatDataset`` or ``ConcatDataset``, with their names."""
    if isinstance(node.get('dataset'), dict):
        yield from find_datasets(node['dataset'], f'{key}.dataset')
    elif isinstance(node.get('datasets'), (list, tuple)):
        for index, inner in enumerate(node['datasets']):
            yield from find_datasets(inner, f'{key}.datasets.{index}')
    else:
        yield key, node


def dataset_class(node: dict, key: str) -> type:
    """The class of a data set.

    Raises:
        KeyError: If there is none of that name.
    """
    found = registered(DATASETS, node.get('type'))
    if found is None:
        raise KeyError(
            f'{key}.type is {node.get("type")!r}: no data set class of that name; a class of your own is '
            'imported by the config with custom_imports=dict(imports=["your.module"])'
        )
    return found


def registered(registry: Registry, kind: Any) -> Any:
    """What a config's ``type`` names: a class of the registry, or the class itself."""
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(None) as current:
        return current.get(kind)


def is_remote(path: Any, backend_args: Optional[dict] = None) -> bool:
    """Whether a path is for a storage backend of mmengine's, not for the local disk."""
    return '://' in str(path) or (backend_args or {}).get('backend', 'local') != 'local'


def why_not_checked(split: Split) -> str:
    """Why a data set is not understood; empty if it is COCO's, read from the local disk."""
    kind, node = split.kind, split.node
    if not (isinstance(kind, type) and issubclass(kind, CocoDataset)):
        return f'{getattr(kind, "__name__", kind)} does not read COCO annotations as CocoDataset does'
    if kind.load_data_list not in _LOADERS or any(
        getattr(kind, name) is not getattr(CocoDataset, name) for name in _READING
    ):
        return f'{kind.__name__} reads its annotations in a way of its own'
    if is_remote(split.path(node.get('ann_file', '')), node.get('backend_args')):
        return 'its annotations are not on the local disk'
    return ''


def _check_coco(split: Split) -> Classes:
    path = _annotation_file(split)
    content = read_annotations(path)
    check_index(content, path)
    categories = content['categories']
    if split.kind.load_data_list is Objects365V1Dataset.load_data_list:
        categories = sorted(categories, key=lambda category: category['id'])
    classes = class_names(split) or tuple(category['name'] for category in categories)
    check_categories(classes, categories, path, split.key)
    used = {category['id'] for category in categories if category['name'] in classes}
    loading = list(_transforms(split.node.get('pipeline') or []))
    usable = check_annotations(content, Use(path, used, _masks(loading)))
    images = _kept(split, content, used, path)
    if split.is_trained and not usable:
        print_log(
            f'{path} has no annotation that can be learned from: every one is missing, without area, '
            f'outside its image or of a category that {split.key} does not use',
            level=logging.WARNING,
        )
    own_images = 'renames' if split.kind.load_data_list is Objects365V2Dataset.load_data_list else ''
    own_images = own_images or ('' if split.kind.filter_data in _FILTERS else 'chooses')
    if own_images:
        print_log(f'The images of {split.key} were not checked: it {own_images} them.', level=logging.WARNING)
    else:
        check_images(split, images, path, loading)
    return classes


def _annotation_file(split: Split) -> Path:
    root, name = split.node.get('data_root') or '', split.node.get('ann_file') or ''
    path = Path(split.path(name))
    if path.is_file():
        return path
    if root and not Path(root).is_dir():
        raise FileNotFoundError(
            f'data folder {root} of {split.key}: no such folder. Link or name it: '
            f'ln -s /path/to/coco {root}, or --cfg-options data_root=/path/to/coco '
            '(with annotations/ and the image folders in it)'
        )
    there = sorted(str(found.relative_to(root)) for found in Path(root).glob('**/*.json'))[:8] if root else []
    evaluator = split.key.split('_')[0] + '_evaluator'
    raise FileNotFoundError(
        f'annotation file {path if name else repr(name)} of {split.key}: no such file. JSON files in '
        f'{root or "the folder"}: {there or "none"}. Choose one with --cfg-options {split.key}.ann_file=NAME'
        + ('' if split.is_trained else f' {evaluator}.ann_file={join_path(root, "NAME")}')
    )


def class_names(split: Split) -> Classes:
    """The classes of a data set, as mmengine reads them; empty if the config leaves them to the file.

    Raises:
        ValueError: If they are neither a list nor a file with a class on each line.
    """
    given = split.node.get('metainfo')
    try:
        classes = split.kind._load_metainfo(given).get('classes')
    except (OSError, TypeError, UnicodeError) as error:
        raise ValueError(f'{split.key}.metainfo cannot be read: {error}') from None
    if isinstance(classes, str) or not isinstance(classes, (list, tuple)):
        raise ValueError(
            f'{split.key}.metainfo.classes is {classes!r}, neither a list of names nor a text file with '
            f'a name on each line. For a single class write metainfo=dict(classes=({classes!r},))'
        )
    return tuple(classes)


def _transforms(pipeline: Any) -> Iterator[Tuple[type, dict]]:
    """The classes and settings of all transforms of a pipeline, also within others."""
    for item in pipeline.values() if isinstance(pipeline, dict) else pipeline:
        if isinstance(item, dict) and 'type' in item:
            yield registered(TRANSFORMS, item['type']), item
        if isinstance(item, (dict, list, tuple)):
            yield from _transforms(item)


def _masks(loading: List[Tuple[type, dict]]) -> Optional[str]:
    for kind, node in loading:
        # A class of the user's may make masks of its own, from boxes for example.
        is_mmdets = all(getattr(kind, name, None) is getattr(LoadAnnotations, name) for name in _MASK_READING)
        if is_mmdets and node.get('with_mask'):
            return 'bitmap' if node.get('poly2mask', True) else 'polygon'
    return None


def _check_masks_are_loaded(model: dict, split: Split) -> None:
    loading = list(_transforms(split.node.get('pipeline') or []))
    head = (model.get('roi_head') or {}).get('mask_head')
    if head and any(kind is LoadAnnotations for kind, _ in loading) and not _masks(loading):
        raise ValueError(
            f'model.roi_head.mask_head learns from masks, and the pipeline of {split.key} loads none: set '
            'with_mask=True in its LoadAnnotations, or model.roi_head.mask_head=None for boxes alone'
        )


def _kept(split: Split, content: dict, used: set, path: Path) -> List[dict]:
    """The images that the filter of a data set leaves."""
    images, rules = content['images'], split.node.get('filter_cfg')
    if split.node.get('test_mode') or not rules or split.kind.filter_data not in _FILTERS:
        return images
    min_size = rules.get('min_size', 0) if isinstance(rules, dict) else None
    if isinstance(min_size, bool) or not isinstance(min_size, (int, float)):
        raise ValueError(f'{split.key}.filter_cfg is {rules}: write dict(filter_empty_gt=True, min_size=32)')
    if rules.get('filter_empty_gt', False):
        annotations = content.get('annotations', [])
        full = {item['image_id'] for item in annotations if item['category_id'] in used}
        images = [image for image in images if image['id'] in full]
    images = [image for image in images if min(image['width'], image['height']) >= min_size]
    if not images:
        raise ValueError(
            f'{path} leaves nothing to {split.key}: none of its {len(content["images"])} images passes '
            f'filter_cfg={dict(rules)}. It needs annotations with the id of an image and of a used category'
        )
    return images
