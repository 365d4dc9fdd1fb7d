"""Random COCO data for tests of the evaluation, and helpers that evaluate it."""

import contextlib
import copy
import io
from typing import Any, Dict, List, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from mmdet.datasets.api_wrappers import COCO, COCOeval
from pycocotools import mask as mask_tools

from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

SIDES = [8, 13, 40]
SCORES = [0.1, 0.5, 0.9, 0.25]  # few values, so that many detections have equal scores
AREAS = [0, 30, 1024, 5000, 9216, 20000]


class Example(NamedTuple):
    """Ground truth, and predictions as mmdet's ``CocoMetric`` stores them."""

    truth: Dict[str, Any]
    predictions: List[Dict[str, Any]]

    @property
    def names(self) -> List[str]:
        return [category['name'] for category in self.truth['categories']]

    def detections(self, kind: str) -> List[dict]:
        """Convert the predictions to the content of a COCO result file."""
        return [
            dict(
                image_id=prediction['img_id'],
                category_id=self.truth['categories'][label]['id'],
                score=float(score),
                **(
                    dict(segmentation=dict(mask))
                    if kind == 'segm'
                    else dict(bbox=[*box[:2], *(b - a for a, b in zip(box, box[2:]))])
                ),
            )
            for prediction in self.predictions
            for box, score, label, mask in zip(
                prediction['bboxes'].tolist(),
                prediction['scores'],
                prediction['labels'].tolist(),
                prediction['masks'],
            )
        ]


def ids(count: int):
    """Draw distinct ids in any order."""
    return st.lists(st.integers(0, 12), min_size=count, max_size=count, unique=True)


@st.composite
def coco_examples(draw) -> Example:
    """Draw up to three images and four classes, with crowds, empty images, and equal scores and boxes."""
    side, classes, images = draw(st.sampled_from(SIDES)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    image_ids, category_ids = draw(ids(images)), draw(ids(classes))
    corner = st.integers(0, 2 * side - 4).map(lambda x: x / 2)
    length = st.integers(2, side).map(lambda x: x / 2)
    pool = draw(st.lists(st.tuples(corner, corner, length, length), min_size=1, max_size=4))
    place = st.tuples(
        st.sampled_from(pool), st.integers(0, images - 1), st.integers(0, classes - 1), st.booleans()
    )
    objects = draw(st.lists(st.tuples(place, st.sampled_from(AREAS), st.integers(0, 4)), max_size=8))
    found = draw(st.lists(st.tuples(place, st.sampled_from(SCORES)), min_size=1, max_size=12))
    truth = dict(
        images=[dict(id=i, height=side, width=side, file_name='') for i in image_ids],
        categories=[dict(id=i, name=f'class {place}') for place, i in enumerate(category_ids)],
        annotations=[
            dict(
                id=index + 1,
                image_id=image_ids[image],
                category_id=category_ids[label],
                bbox=list(_shift(box, is_shifted)),
                area=area,
                iscrowd=int(crowd == 0),
                segmentation=[_corners(_shift(box, is_shifted))],
            )
            for index, ((box, image, label, is_shifted), area, crowd) in enumerate(objects)
        ],
    )
    return Example(truth, [_prediction(i, image, found, side) for i, image in enumerate(image_ids)])


def _shift(box: tuple, is_shifted: bool) -> tuple:
    return (box[0] + 0.5, *box[1:]) if is_shifted else box


def _corners(box: tuple) -> List[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _prediction(index: int, image_id: int, found: list, side: int) -> Dict[str, Any]:
    detections = [
        (_shift(box, is_shifted), label, score)
        for (box, image, label, is_shifted), score in found
        if image == index
    ]
    boxes = np.array([box for box, _, _ in detections], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return dict(
        img_id=image_id,
        bboxes=boxes,
        scores=np.array([score for _, _, score in detections], np.float32),
        labels=np.array([label for _, label, _ in detections], np.int64),
        masks=[mask_tools.frPyObjects([_corners(box)], side, side)[0] for box, _, _ in detections],
    )


def load(truth: Dict[str, Any]) -> COCO:
    """Load a copy of the ground truth, because an evaluation modifies it."""
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def run(evaluation: COCOeval, **params: Any) -> COCOeval:
    """Evaluate with these parameters and no output."""
    for name, value in params.items():
        setattr(evaluation.params, name, copy.copy(value))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        with contextlib.suppress(IndexError):  # there is no summary for fewer than three maxDets
            evaluation.summarize()
    return evaluation


def evaluate_with_pycocotools(example: Example, kind: str, **params: Any) -> COCOeval:
    """Evaluate with pycocotools alone."""
    truth = load(example.truth)
    with contextlib.redirect_stdout(io.StringIO()):
        detections = truth.loadRes(example.detections(kind))
    return run(COCOeval(truth, detections, kind), **params)


def assert_equal_to_pycocotools(truth, detections, kind, **params):
    """Compare every number of ``HotcocoEval`` with pycocotools; return the ``HotcocoEval``."""
    params = {'maxDets': [100, 300, 1000], **params}
    coco = load(truth)
    expected = run(COCOeval(coco, coco.loadRes(copy.deepcopy(detections)), kind), **params)
    ours = run(HotcocoEval(load(truth), copy.deepcopy(detections), kind), **params)
    for name in ('precision', 'recall', 'scores'):
        np.testing.assert_array_equal(ours.eval[name], expected.eval[name], strict=True)
    np.testing.assert_array_equal(ours.stats, expected.stats, strict=True)
    return ours


def evaluate(metric, truth, predictions):
    """Evaluate a metric as the test loop does, with one image per batch."""
    metric.dataset_meta = dict(classes=tuple(category['name'] for category in truth['categories']))
    for prediction in copy.deepcopy(predictions):
        fields = {key: torch.as_tensor(prediction[key]) for key in ('bboxes', 'scores', 'labels')}
        instances = [
            dict(bbox=[5.0, 5, 50, 60], bbox_label=1, mask=prediction['masks'][0]),
            dict(bbox=[300.0, 200, 400, 400], bbox_label=0, ignore_flag=1, mask=prediction['masks'][-1]),
        ]
        sample = dict(
            img_id=prediction['img_id'],
            ori_shape=(480, 640),
            instances=instances,
            pred_instances=dict(fields, masks=prediction['masks']),
        )
        metric.process({}, [sample])
    return metric.evaluate(len(predictions))
