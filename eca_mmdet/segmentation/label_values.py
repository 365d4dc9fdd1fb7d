"""Compare the label values in masks with the classes of a dataset, and say what is wrong.

mmseg trains on wrong labels without a message, or stops in a CUDA assertion that names no file.
"""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence


class LabelUse(NamedTuple):
    """How a run reads the masks of a dataset.

    Args:
        key: Name of the dataset in the config.
        classes: Its class names.
        ignore_index: The label that loss and metric ignore.
        ignore_key: The option that sets ``ignore_index``.
        reduce_zero_label: Whether label 0 is ignored and all others are reduced by 1.
        label_map: Maps labels to those of selected classes, see mmseg's ``BaseSegDataset.get_label_map``.
    """

    key: str
    classes: Sequence[str]
    ignore_index: int = 255
    ignore_key: str = 'model.decode_head.ignore_index'
    reduce_zero_label: bool = False
    label_map: Optional[Mapping[int, int]] = None

    def used_label(self, value: int) -> int:
        """Return the label that mmseg's ``LoadAnnotations`` makes of a value in a mask."""
        if self.reduce_zero_label:
            value = 255 if value in (0, 255) else value - 1
        return (self.label_map or {}).get(value, value)


def label_fault(pixels: Dict[int, int], use: LabelUse) -> str:
    """Return what is wrong with the values of masks and how to correct it. Empty if nothing is.

    Args:
        pixels: Number of pixels of each value in the masks.
        use: How a run reads them.
    """
    values, count = sorted(pixels), len(use.classes)
    labels = {value: use.used_label(value) for value in values}
    wrong = [v for v in values if labels[v] != use.ignore_index and not 0 <= labels[v] < count]
    found = f'The masks of {use.key} have the values {_shorten(values)}, and it has {count} classes'
    if any(labels[v] == 255 for v in wrong):
        return (
            f'{found}. The value 255 marks unlabelled pixels{_after_reduction(use)}, but {use.ignore_key} is '
            f'{use.ignore_index}. Set it to 255, in all heads and evaluators'
        )
    if wrong:
        return f'{found} (labels 0 to {count - 1}). {_too_large(values, wrong, pixels, use)}'
    if count == 2 and set(values) == {0, 255} and use.ignore_index == 255:
        return (
            f'{found}. The value 255 is ignored, so that class {use.classes[1]!r} would never occur. Write '
            'masks with the values 0 and 1'
        )
    if use.reduce_zero_label and set(range(count)) <= set(values) and count not in values:
        return (
            f'{found}. reduce_zero_label=True ignores the value 0 and expects the values 1 to {count}, but 0 '
            f'is the class {use.classes[0]!r}. Set reduce_zero_label=False in all datasets and in their '
            'LoadAnnotations'
        )
    if all(label == use.ignore_index for label in labels.values()):
        return f'{found}. No pixel is labelled: all of these values are ignored'
    return ''


def _too_large(values: List[int], wrong: List[int], pixels: Dict[int, int], use: LabelUse) -> str:
    """Say why masks may have labels beyond those of the classes."""
    count = len(use.classes)
    if len(wrong) > 20 and count <= 20:
        return (
            'They look like grey images. Save masks as PNG, not as JPEG, and resize them with '
            'nearest-neighbour interpolation'
        )
    if use.reduce_zero_label:
        return (
            f'reduce_zero_label=True makes labels of the values 1 to {count}; {_shorten(wrong)} are larger. '
            'Add the missing classes to metainfo.classes, and set num_classes of all heads'
        )
    share = sum(pixels[v] for v in wrong) / sum(pixels.values())
    if wrong == [count]:
        if 0 not in values:
            return 'The classes are numbered from 1. Set reduce_zero_label=True in all datasets'
        return (
            f'If 0 means unlabelled, set reduce_zero_label=True in all datasets. If 0 is a class such as the '
            f'background, put it first in metainfo.classes, and set num_classes={count + 1} in all heads'
        )
    return (
        f'{_shorten(wrong)} ({share:.1%} of the pixels) belong to no class. Add the missing classes to '
        'metainfo.classes and set num_classes of all heads, or write 255 into pixels that are to be ignored'
    )


def _after_reduction(use: LabelUse) -> str:
    return ' (reduce_zero_label turns 0 into 255)' if use.reduce_zero_label else ''


def _shorten(values: Sequence[int]) -> str:
    """List values, with ranges in place of long runs."""
    parts: List[str] = []
    start = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[index - 1] + 1:
            run = values[start:index]
            parts += [f'{run[0]} to {run[-1]}'] if len(run) > 2 else map(str, run)
            start = index
    return ', '.join(parts[:8]) + (', ...' if len(parts) > 8 else '')


def absent_classes(pixels: Dict[int, int], use: LabelUse) -> List[str]:
    """Return the classes without a pixel."""
    present = {use.used_label(value) for value in pixels}
    return [name for label, name in enumerate(use.classes) if label not in present]
