"""Set up the metrics of image classification, and report their results. All accuracies are in percent."""

from math import sqrt
from typing import Any, Dict, List, Optional, Sequence

from mmpretrain.evaluation import Accuracy

from ..results_file import cell, text_table

_PER_CLASS = 'single-label/'
_TOP = 'accuracy/'
_ACCURACY = ('Accuracy', 'mmpretrain.Accuracy', Accuracy)  # in a config


def limit_topk(evaluators: Any, num_classes: Optional[int]) -> List[dict]:
    """Remove the top-k accuracies that need more classes than there are.

    Args:
        evaluators: The config's evaluator, or a list of them.
        num_classes: Number of classes; ``None`` if it is not known.

    Returns:
        The list of evaluators.
    """
    metrics = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
    return [_limited(metric, num_classes) for metric in metrics]


def _limited(metric: Any, num_classes: Optional[int]) -> Any:
    is_accuracy = isinstance(metric, dict) and metric.get('type') in _ACCURACY
    topk = metric.get('topk', 1) if is_accuracy else 1
    if num_classes is None or isinstance(topk, int):
        return metric
    return {**metric, 'topk': tuple(k for k in topk if k <= num_classes) or (1,)}


def add_class_accuracy(metrics: List[dict]) -> List[dict]:
    """Add the metric that reports the accuracy and the number of images of each class."""
    # The recall of a class is the part of its images that are predicted correctly.
    per_class = dict(type='mmpretrain.SingleLabelMetric', items=('recall', 'support'), average=None)
    return [*metrics, per_class]


def collect_accuracy(metrics: Dict[str, Any], classes: Sequence[str]) -> Dict[str, Any]:
    """Group the results of an evaluation.

    Args:
        metrics: The results of ``Runner.test``.
        classes: Names of the classes; if they are unknown, empty.

    Returns:
        ``{'accuracy': {'top1': ..., 'top5': ...}, 'classes': {name: {'accuracy': ..., 'images': ...}}}``.
        ``classes`` is missing without per-class results. A class without images has the accuracy ``None``.
        Other results keep their names, under ``other``.
    """
    recalls, counts = (metrics.get(f'{_PER_CLASS}{item}_classwise') for item in ('recall', 'support'))
    results: Dict[str, Any] = {}
    for name, value in metrics.items():
        if name.startswith(_TOP):
            results.setdefault('accuracy', {})[name[len(_TOP) :]] = round(value, 4)  # metrics are float32
        elif recalls is None or counts is None or not name.startswith(_PER_CLASS):
            results.setdefault('other', {})[name] = value
    if recalls is not None and counts is not None:
        results['classes'] = {
            name: dict(accuracy=round(recall, 4) if count else None, images=int(count))
            for name, recall, count in zip(_unique(classes, len(recalls)), recalls, counts)
        }
    return results


def _unique(classes: Sequence[str], count: int) -> List[str]:
    """Return a different name for each class; ImageNet has two cranes."""
    names = list(classes) if len(classes) == count else list(map(str, range(count)))
    return [f'{name} ({index})' if names.count(name) > 1 else name for index, name in enumerate(names)]


def accuracy_table(results: Dict[str, Any]) -> str:
    """Format the accuracies in percent, and those of each class if there are any."""
    values = {**results.get('accuracy', {}), **results.get('other', {})}
    tables = [text_table(['accuracy, %', ''], [[name, cell(value)] for name, value in values.items()])]
    if 'classes' in results:
        rows = [
            [name, cell(row['accuracy']), cell(row['images'])] for name, row in results['classes'].items()
        ]
        tables.append(text_table(['class', 'accuracy, %', 'images'], rows))
    return '\n'.join(tables)


def explain_chance(
    results: Dict[str, Any], images: int, num_classes: Optional[int], trained_iters: Any
) -> str:
    """Explain a top-1 accuracy that guessing reaches too; empty for a better one."""
    top1 = results.get('accuracy', {}).get('top1')
    if top1 is None or not num_classes or not images:
        return ''
    chance = 1 / num_classes
    if top1 / 100 > chance + 3 * sqrt(chance * (1 - chance) / images):
        return ''
    return '\n'.join(
        [
            f'The result is not better than guessing: top-1 {top1:.2f} % on {images} images of {num_classes} '
            'classes. Possible causes, most likely first:',
            f'  - The checkpoint was trained too briefly (iterations: {trained_iters or "unknown"}).',
            '  - The classes or their order differ from training. Labels follow the names of the folders.',
            '  - The image preprocessing differs from training. Compare the pipeline and data_preprocessor',
            '    (mean, std, to_rgb).',
        ]
    )
