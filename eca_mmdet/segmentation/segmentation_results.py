"""Results of semantic segmentation as a table and for JSON."""

from typing import Any, Dict, List, Optional

from ..results_file import text_table

_MEANS = {'mIoU': 'IoU', 'mAcc': 'Acc'}


def segmentation_table(results: Dict[str, Any]) -> str:
    """Format the results as one table: a row per class, then the means, then the accuracy of all pixels.

    Args:
        results: ``{'mIoU': ..., 'mAcc': ..., 'aAcc': ..., 'classes': {name: {'IoU': ..., 'Acc': ...}}}``, as
            fractions. Metrics of other names get rows of their own.
    """
    classes = results.get('classes') or {}
    columns = list(next(iter(classes.values()), {})) or [name[1:] for name in results if name in _MEANS]
    means = {f'm{column}': column for column in columns}
    rows: List[List[str]] = [
        [name, *(_cell(values.get(column)) for column in columns)] for name, values in classes.items()
    ]
    if any(name in results for name in means):
        rows.append([f'mean ({", ".join(means)})', *(_cell(results.get(name)) for name in means)])
    if 'aAcc' in results:
        rows.append(['all pixels (aAcc)', *(_cell(results['aAcc']) if c == 'Acc' else '' for c in columns)])
    others = [name for name in results if name not in {*means, 'aAcc', 'classes'}]
    rows += [[name, _cell(results[name]), *[''] * (len(columns) - 1)] for name in others]
    text = text_table(['class', *columns], rows)
    if any('-' in row for row in rows):
        text += '\n- : the class has no pixels, neither in the ground truth nor in the predictions'
    return text


def _cell(value: Any) -> str:
    return f'{value:.3f}' if isinstance(value, (int, float)) else '-' if value is None else str(value)


def explain_poor(results: Dict[str, Any], images: int, trained_iters: Optional[int]) -> str:
    """Describe a result in which at most one class is found, and its possible causes, most likely first.

    Returns:
        An empty string for other results.
    """
    values = {name: row.get('IoU') for name, row in (results.get('classes') or {}).items()}
    present = [name for name, value in values.items() if value is not None]
    found = [name for name in present if values[name] and values[name] >= 0.0005]
    if len(present) < 2 or len(found) > 1:
        return ''
    what = f'only {found[0]!r}' if found else 'no class'
    return '\n'.join(
        [
            f'Of {len(present)} classes, {what} is found in {images} images. Possible causes, most likely '
            'first:',
            f'  - The checkpoint was trained too briefly (iterations: {trained_iters or "unknown"}).',
            '  - The classes or their order differ from training. Compare metainfo.classes.',
            '  - One option differs from training: reduce_zero_label, or the mean, std and bgr_to_rgb of',
            '    model.data_preprocessor, or the scale of Resize.',
            '  - One class covers nearly all pixels. Use sampler=dict(type="OHEMPixelSampler", thresh=0.7)',
            '    in the heads, or crops with RandomCrop(cat_max_ratio=0.75).',
        ]
    )
