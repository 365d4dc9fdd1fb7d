"""COCO evaluation timed on pycocotools, hotcoco and faster-coco-eval, over the same detections.

Two spans are timed: ``evaluate``, from detections in memory to COCO's 12 numbers, and ``metric``,
mmdet's whole ``compute_metrics`` from a detector's predictions. The 12 numbers of each are compared
with pycocotools', those of ``metric`` in the three digits that mmdet keeps.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmengine.fileio import dump

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

from .measure import interleave, quartiles, ratios, seconds_of

DISTRIBUTIONS = dict(
    pycocotools='pycocotools', hotcoco='hotcoco', faster_coco_eval='faster-coco-eval', numpy='numpy'
)
MAX_DETS = [100, 300, 1000]  # as mmdet sets them
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
]


def _pycocotools(truth: COCO, detections: List[dict], kind: str) -> np.ndarray:
    return _twelve(COCOeval(truth, truth.loadRes(detections), kind))


def _hotcoco(truth: COCO, detections: List[dict], kind: str) -> np.ndarray:
    return _twelve(HotcocoEval(truth, detections, kind))


def _faster_coco_eval(truth: COCO, detections: List[dict], kind: str) -> np.ndarray:
    from faster_coco_eval import COCOeval_faster

    evaluation = COCOeval_faster(truth, truth.loadRes(detections), kind)
    evaluation.params.maxDets = MAX_DETS
    evaluation.evaluate()
    evaluation.accumulate()
    # Its own summary takes AP at 1000 detections, where pycocotools takes 100.
    summary = COCOeval(truth, None, kind)
    summary.params.maxDets = MAX_DETS
    summary.eval = evaluation.eval
    summary.summarize()
    return summary.stats


def _twelve(evaluation: COCOeval) -> np.ndarray:
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
    """Time every installed backend on random data, interleaved.

    Args:
        images: Images of random ground truth, 80 classes, about 7.4 annotations an image.
        detections: Detections for each annotation.
        repeats: Rounds that count.
        warmup: Rounds before them. From its first on, pycocotools has the polygons as RLE.
        log: Is told what runs.

    Returns:
        ``data``, ``versions``, and ``results``: for each span, kind and backend the seconds, the
        ratio of pycocotools' seconds to its own, its 12 numbers and their largest difference.
    """
    names = [name for name in BACKENDS if importlib.util.find_spec(name)]
    log(f'making detections of {images} images')
    truth, predictions = random_coco(images, detections=detections)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, 'truth.json'))
        dump(truth, path)
        for kind in ('bbox', 'segm'):
            for span, make in (('evaluate', _evaluations), ('metric', _metrics)):
                answers: Dict[str, np.ndarray] = {}
                calls = make(names, path, truth, predictions, kind, answers)
                log(f'timing {span} {kind}: {", ".join(calls)}')
                timed = {name: partial(seconds_of, call) for name, call in calls.items()}
                with contextlib.redirect_stdout(io.StringIO()):
                    seconds = interleave(timed, repeats, warmup)
                results += [
                    dict(
                        span=span,
                        kind=kind,
                        backend=name,
                        seconds=quartiles(seconds[name]),
                        speedup=ratios(seconds['pycocotools'], seconds[name]),
                        numbers=answers[name].tolist(),
                        largest_difference=float(np.abs(answers[name] - answers['pycocotools']).max()),
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
        rayon_threads=os.environ.get('RAYON_NUM_THREADS'),  # of hotcoco; None: all cores
        results=results,
    )


def _evaluations(names, path, truth, predictions, kind, answers) -> Dict[str, Callable[[], None]]:
    """Each backend with a ground truth of its own, since evaluation changes it."""
    detections = coco_results(truth, predictions, kind)

    def call(name: str) -> Callable[[], None]:
        own = COCO(path)

        def evaluate() -> None:
            answers[name] = BACKENDS[name](own, [dict(item) for item in detections], kind)

        return evaluate

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: call(name) for name in names}


def _metrics(names, path, truth, predictions, kind, answers) -> Dict[str, Callable[[], None]]:
    """mmdet's metric with each backend that it offers."""

    def call(name: str) -> Callable[[], None]:
        metric = FastCocoMetric(path, metric=kind, backend=name, metric_items=ITEMS)
        metric.dataset_meta = dict(classes=[category['name'] for category in truth['categories']])

        def evaluate() -> None:
            found = metric.compute_metrics([({}, prediction) for prediction in predictions])
            answers[name] = np.array(list(found.values()))

        return evaluate

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: call(name) for name in names if name in ('pycocotools', 'hotcoco')}


def coco_results(truth: Dict[str, Any], predictions: List[Dict[str, Any]], kind: str) -> List[dict]:
    """Predictions as a COCO result file holds them: with ``bbox`` (xywh), or with ``segmentation``."""
    results = []
    for prediction in predictions:
        boxes, scores = prediction['bboxes'].tolist(), prediction['scores'].tolist()
        for (x1, y1, x2, y2), score, label, mask in zip(
            boxes, scores, prediction['labels'], prediction['masks']
        ):
            shape = (
                dict(bbox=[x1, y1, x2 - x1, y2 - y1])
                if kind == 'bbox'
                else dict(segmentation=dict(size=mask['size'], counts=mask['counts']))
            )
            category = truth['categories'][label]['id']
            results.append(dict(image_id=prediction['img_id'], category_id=category, score=score, **shape))
    return results


def coco_eval_text(found: Dict[str, Any]) -> str:
    """One line a span, kind and backend."""
    lines = [f'{"span":9}{"kind":6}{"backend":18}{"seconds":>9}{"speedup":>9}{"quartiles":>16}  12 numbers']
    for r in found['results']:
        low, high = r['speedup']['q1'], r['speedup']['q3']
        same = 'equal' if r['largest_difference'] == 0 else f'differ by {r["largest_difference"]:.1e}'
        lines.append(
            f'{r["span"]:9}{r["kind"]:6}{r["backend"]:18}{r["seconds"]["median"]:>9.3f}'
            f'{r["speedup"]["median"]:>9.1f}{f"{low:.1f} to {high:.1f}":>16}  {same}'
        )
    return '\n'.join(lines)
