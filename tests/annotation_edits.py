"""Edit a COCO annotation file, check it, and use it with mmdet."""

from tiny_coco import CLASSES, evaluate, load

from eca_mmdet.datasets.annotation_checks import (
    AnnotationUse,
    check_annotations,
    check_index,
    read_annotations,
)


class DELETE:
    """Marks a field to be deleted."""


def edit(content, kind, index, field, value):
    """Set or delete a field of a record."""
    record = content[kind][index]
    if value is DELETE:
        record.pop(field, None)
    else:
        record[field] = value


def check(path, use):
    """Check a file for a use: ``load``, ``bitmap``, ``polygon`` or a metric."""
    content = read_annotations(path)
    metrics = () if use in ('load', 'bitmap', 'polygon') else (use,)
    check_index(content, path, metrics or None)
    used = {category['id'] for category in content['categories'] if category['name'] in CLASSES}
    mask_format = use if use in ('bitmap', 'polygon') else None
    return check_annotations(content, AnnotationUse(path, used, mask_format, metrics))


def run_mmdet(path, use, content):
    """Load or evaluate a file with mmdet."""
    if use in ('load', 'bitmap', 'polygon'):
        return load(path, with_mask=use != 'load', poly2mask=use == 'bitmap')
    return evaluate(path, use, content)
