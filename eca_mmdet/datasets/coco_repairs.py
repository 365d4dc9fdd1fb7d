"""Complete the content of COCO annotation files where their meaning is clear.

Exports of annotation tools lack fields that mmdet or pycocotools need. Each function changes a content in
place and returns sentences about what it changed.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Tuple

from .image_folders import bare_name


def used_categories(content: dict) -> set:
    """Return the ids of the categories that have annotations."""
    return {item.get('category_id') for item in content.get('annotations', []) if isinstance(item, dict)}


def drop_supercategories(contents: List[dict]) -> List[str]:
    """Remove the supercategory that Roboflow lists as the first category of its exports.

    It has no annotations, and it is the ``supercategory`` of all other categories. One of them can have the
    same name.

    Args:
        contents: The contents of the files of all splits.
    """
    used = set().union(*map(used_categories, contents))
    dropped = []
    for content in contents:
        categories = content['categories']
        parents = {item.get('supercategory') for item in categories if item['id'] in used}
        unused = [
            item
            for item in categories
            if item['id'] not in used and {item['name']} == parents and item.get('supercategory') == 'none'
        ]
        for item in unused:
            categories.remove(item)
            dropped.append(f'the supercategory {item["name"]!r} (id {item["id"]}) is not a class')
    return list(dict.fromkeys(dropped))


def check_category_names(content: dict, path: Path) -> None:
    """Check that the names of categories are different strings.

    Raises:
        ValueError: If they are not.
    """
    names = [category['name'] for category in content['categories']]
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong or not names:
        raise ValueError(
            f'{path} has {f"a category with the name {wrong[0]!r}" if wrong else "no categories"}. '
            'Each class needs a category with a name'
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        ids = [category['id'] for category in content['categories'] if category['name'] == twice[0]]
        raise ValueError(
            f'{path} has {len(ids)} categories with the name {twice[0]!r} (ids {ids}). Give them different '
            'names, or merge them into one category'
        )


def use_classes(content: dict, classes: Tuple[str, ...], path: Path, train_path: Path) -> List[str]:
    """Give a file the categories of the training set, in the same order.

    Raises:
        ValueError: If it has annotations of other categories.
    """
    by_name = {category['name']: category for category in content['categories']}
    used = used_categories(content)
    foreign = [name for name, category in by_name.items() if name not in classes and category['id'] in used]
    if foreign:
        raise ValueError(
            f'{path} has classes that {train_path} does not have: {foreign[:5]}. The classes for '
            f'training are {list(classes[:10])}. Use the same names in both files'
        )
    if tuple(by_name) == classes:
        return []
    free = max(
        (category['id'] for category in content['categories'] if type(category['id']) is int), default=0
    )
    missing = [name for name in classes if name not in by_name]
    added = {name: dict(id=free + 1 + place, name=name) for place, name in enumerate(missing)}
    content['categories'] = [(by_name | added)[name] for name in classes]
    return ['the categories are those of the training set, in the same order']


def complete_annotations(content: dict) -> List[str]:
    """Set ``iscrowd`` and ``area`` where they are missing, and number annotations from 1 where needed."""
    items = [item for item in content.setdefault('annotations', []) if isinstance(item, dict)]
    done: Dict[str, int] = {}
    for item in items:
        if 'iscrowd' not in item:
            item['iscrowd'] = 0
            done['iscrowd = 0'] = done.get('iscrowd = 0', 0) + 1
        if 'area' not in item and _is_box(item.get('bbox')):
            item['area'] = item['bbox'][2] * item['bbox'][3]
            done['area = width * height'] = done.get('area = width * height', 0) + 1
    changes = [f'{count} annotations got {text}' for text, count in done.items()]
    ids = [str(item.get('id')) for item in items]
    if len(set(ids)) < len(ids) or not {'0', 'None'}.isdisjoint(ids):
        for number, item in enumerate(items, 1):
            item['id'] = number
        changes.append('annotations are numbered from 1, each with its own number')
    return changes


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)


def use_bare_names(content: dict) -> List[str]:
    """Remove the folder from the ``file_name`` of each image."""
    for image in content['images']:
        image['file_name'] = bare_name(image['file_name'])
    return ['file names have no folder']
