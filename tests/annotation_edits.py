"""Edits of a COCO annotation file, the check of the result, and mmdet's own use of it."""

from coco_samples import CLASSES, evaluate, load

from eca_mmdet.datasets.annotation_checks import Use, check_annotations, check_index, read_annotations


class DELETE:
    """In place of a value: the field is taken away."""


def edit(content, kind, index, field, value):
    """Set or take away a field of a record."""
    record = content[kind][index]
    if value is DELETE:
        record.pop(field, None)
    else:
        record[field] = value


def check(path, use):
    """Check a file for a use: ``load``, ``bitmap``, ``polygon``, or a metric."""
    content = read_annotations(path)
    metrics = () if use in ('load', 'bitmap', 'polygon') else (use,)
    check_index(content, path, metrics or None)
    used = {category['id'] for category in content['categories'] if category['name'] in CLASSES}
    masks = use if use in ('bitmap', 'polygon') else None
    return check_annotations(content, Use(path, used, masks, metrics))


def run_mmdet(path, use, content):
    """Read or evaluate a file as the use does."""
    if use in ('load', 'bitmap', 'polygon'):
        return load(path, with_mask=use != 'load', poly2mask=use == 'bitmap')
    return evaluate(path, use, content)
