"""Time COCO evaluation with pycocotools, hotcoco and faster-coco-eval on the same detections.

Two spans are timed: ``evaluate`` is the time from detections in memory to COCO's 12 numbers, ``metric`` is
the time of mmdet's ``compute_metrics``. The 12 numbers of each backend are compared with those of
pycocotools. The numbers of ``metric`` are compared to the three digits that mmdet keeps.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmengine.fileio import dump

from eca_mmdet.analysis import table_text
from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

from .measure import quartiles, ratios, time_calls

DISTRIBUTIONS = dict(
    pycocotools='pycocotools', hotcoco='hotcoco', faster_coco_eval='faster-coco-eval', numpy='numpy'
)
MAX_DETS = [100, 300, 1000]  # mmdet's defaults
ITEMS = [
    'mAP',
    'mAP_50',
    'mAP_75',
    'mAP_s',
    'mAP_m',
    'mAP_l',
    'AR@100',
    'AR@300',
    'AR@1000',
    'AR_s@1000',
    'AR_m@1000',
    'AR_l@1000',
]  # in the order of pycocotools


def _pycocotools(truth: COCO, detections: List[dict], iou_type: str) -> np.ndarray:
    return _evaluate(COCOeval(truth, truth.loadRes(detections), iou_type))


def _hotcoco(truth: COCO, detections: List[dict], iou_type: str) -> np.ndarray:
    return _evaluate(HotcocoEval(truth, detections, iou_type))


def _faster_coco_eval(truth: COCO, detections: List[dict], iou_type: str) -> np.ndarray:
    from faster_coco_eval import COCOeval_faster

    evaluation = COCOeval_faster(truth, truth.loadRes(detections), iou_type)
    evaluation.params.maxDets = MAX_DETS
    evaluation.evaluate()
    evaluation.accumulate()
    # Its own summary computes AP from 1000 detections per image, pycocotools from 100.
    summary = COCOeval(truth, None, iou_type)
    summary.params.maxDets = MAX_DETS
    summary.eval = evaluation.eval
    summary.summarize()
    return summary.stats


def _evaluate(evaluation: COCOeval) -> np.ndarray:
    evaluation.params.maxDets = MAX_DETS
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


BACKENDS = dict(pycocotools=_pycocotools, hotcoco=_hotcoco, faster_coco_eval=_faster_coco_eval)


def benchmark_coco_eval(
    images: int = 5000,
    detections: float = 4.0,
    repeats: int = 3,
    warmup: int = 1,
    log: Callable[[str], None] = lambda text: None,
) -> Dict[str, Any]:
    """Time all installed backends on random data in interleaved rounds.

    Args:
        images: Images in the random ground truth, with 80 classes and about 7.4 annotations per image.
        detections: Detections per annotation.
        repeats: Measured rounds.
        warmup: Warm-up rounds before them. In its first round, pycocotools converts all polygons to RLE.
        log: Receives progress messages.

    Returns:
        ``data``, ``versions`` and ``results``. Results have, for each span, IoU type and backend, the
        seconds, the speedup over pycocotools, the 12 numbers, and the largest difference from pycocotools.
    """
    names = [name for name in BACKENDS if importlib.util.find_spec(name)]
    log(f'drawing detections for {images} images')
    truth, predictions = random_coco(images, detections=detections)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, 'truth.json'))
        dump(truth, path)
        for iou_type in ('bbox', 'segm'):
            for span, make_calls in (('evaluate', _evaluate_calls), ('metric', _metric_calls)):
                numbers: Dict[str, np.ndarray] = {}
                calls = make_calls(names, path, truth, predictions, iou_type, numbers)
                log(f'timing {span} {iou_type}: {", ".join(calls)}')
                with contextlib.redirect_stdout(io.StringIO()):
                    seconds = time_calls(calls, repeats, warmup)
                results += [
                    dict(
                        span=span,
                        kind=iou_type,
                        backend=name,
                        seconds=quartiles(seconds[name]),
                        speedup=ratios(seconds['pycocotools'], seconds[name]),
                        numbers=numbers[name].tolist(),
                        largest_difference=float(np.abs(numbers[name] - numbers['pycocotools']).max()),
                    )
                    for name in calls
                ]
    return dict(
        data=dict(
            images=images,
            annotations=len(truth['annotations']),
            crowds=sum(annotation['iscrowd'] for annotation in truth['annotations']),
            detections=sum(len(prediction['labels']) for prediction in predictions),
        ),
        versions={name: importlib.metadata.version(DISTRIBUTIONS[name]) for name in (*names, 'numpy')},
        rayon_threads=os.environ.get('RAYON_NUM_THREADS'),  # threads of hotcoco; None means all cores
        results=results,
    )


def _evaluate_calls(names, path, truth, predictions, iou_type, numbers) -> Dict[str, Callable[[], None]]:
    """Return functions that evaluate with each backend and store its 12 numbers in ``numbers``."""
    detections = coco_results(truth, predictions, iou_type)

    def make_call(name: str) -> Callable[[], None]:
        ground_truth = COCO(path)  # one per backend, since evaluation modifies it

        def evaluate() -> None:
            numbers[name] = BACKENDS[name](ground_truth, [dict(item) for item in detections], iou_type)

        return evaluate

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: make_call(name) for name in names}


def _metric_calls(names, path, truth, predictions, iou_type, numbers) -> Dict[str, Callable[[], None]]:
    """Return functions that compute ``FastCocoMetric`` with each backend it supports."""

    def make_call(name: str) -> Callable[[], None]:
        metric = FastCocoMetric(path, metric=iou_type, backend=name, metric_items=ITEMS)
        metric.dataset_meta = dict(classes=[category['name'] for category in truth['categories']])

        def evaluate() -> None:
            metrics = metric.compute_metrics([({}, prediction) for prediction in predictions])
            numbers[name] = np.array(list(metrics.values()))

        return evaluate

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: make_call(name) for name in names if name in ('pycocotools', 'hotcoco')}


def coco_results(truth: Dict[str, Any], predictions: List[Dict[str, Any]], iou_type: str) -> List[dict]:
    """Convert predictions to COCO results with ``bbox`` (x, y, width, height) or ``segmentation``."""
    results = []
    for prediction in predictions:
        boxes, scores = prediction['bboxes'].tolist(), prediction['scores'].tolist()
        for (x1, y1, x2, y2), score, label, mask in zip(
            boxes, scores, prediction['labels'], prediction['masks']
        ):
            shape = (
                dict(bbox=[x1, y1, x2 - x1, y2 - y1])
                if iou_type == 'bbox'
                else dict(segmentation=dict(size=mask['size'], counts=mask['counts']))
            )
            category = truth['categories'][label]['id']
            results.append(dict(image_id=prediction['img_id'], category_id=category, score=score, **shape))
    return results


def coco_eval_text(content: Dict[str, Any]) -> str:
    """Format one row per span, IoU type and backend."""
    header = ['backend', 'span', 'IoU type', 'seconds', 'speedup', '12 numbers']
    rows = []
    for r in content['results']:
        speedup, difference = r['speedup'], r['largest_difference']
        rows.append(
            [
                r['backend'],
                r['span'],
                r['kind'],
                f'{r["seconds"]["median"]:.3f}',
                f'{speedup["median"]:.1f} ({speedup["q1"]:.1f} to {speedup["q3"]:.1f})',
                'equal' if difference == 0 else f'differ by {difference:.1e}',
            ]
        )
    return table_text(header, rows)
