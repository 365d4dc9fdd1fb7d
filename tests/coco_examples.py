"""Hypothesis strategies: tiny COCO data with detections, and what pycocotools alone says about them."""

import contextlib
import copy
import io
import logging
from typing import Any, Dict, List, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmengine.logging import MMLogger
from pycocotools import mask as mask_tools

SIDES = [8, 13, 40]
SCORES = [0.1, 0.5, 0.9, 0.25]  # few, so that many are equal
AREAS = [0, 30, 1024, 5000, 9216, 20000]


class Example(NamedTuple):
    """Ground truth, and predictions as mmdet's metric keeps them."""

    truth: Dict[str, Any]
    predictions: List[Dict[str, Any]]

    @property
    def names(self) -> List[str]:
        return [category['name'] for category in self.truth['categories']]

    def detections(self, kind: str) -> List[dict]:
        """The contents of a COCO result file; a label is a place among the file's categories."""
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
    """Distinct ids in any order."""
    return st.lists(st.integers(0, 12), min_size=count, max_size=count, unique=True)


@st.composite
def coco_examples(draw) -> Example:
    """Up to three images and four classes; crowds, images without objects, equal scores and boxes."""
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
                bbox=list(_moved(box, moved)),
                area=area,
                iscrowd=int(crowd == 0),
                segmentation=[_corners(_moved(box, moved))],
            )
            for index, ((box, image, label, moved), area, crowd) in enumerate(objects)
        ],
    )
    return Example(truth, [_prediction(i, image, found, side) for i, image in enumerate(image_ids)])


def _moved(box: tuple, moved: bool) -> tuple:
    return (box[0] + 0.5, *box[1:]) if moved else box


def _corners(box: tuple) -> List[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _prediction(index: int, image_id: int, found: list, side: int) -> Dict[str, Any]:
    here = [(place, score) for place, score in found if place[1] == index]
    own = [(_moved(box, moved), label, score) for (box, _, label, moved), score in here]
    boxes = np.array([box for box, _, _ in own], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return dict(
        img_id=image_id,
        bboxes=boxes,
        scores=np.array([score for _, _, score in own], np.float32),
        labels=np.array([label for _, label, _ in own], np.int64),
        masks=[mask_tools.frPyObjects([_corners(box)], side, side)[0] for box, _, _ in own],
    )


def load(truth: Dict[str, Any]) -> COCO:
    """Ground truth of its own, since evaluation changes it."""
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def run(evaluation: COCOeval, **params: Any) -> COCOeval:
    """Evaluate with these parameters, without a word."""
    for name, value in params.items():
        setattr(evaluation.params, name, copy.copy(value))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def by_pycocotools(example: Example, kind: str, **params: Any) -> COCOeval:
    """What pycocotools says, without this package and mmdet."""
    truth = load(example.truth)
    with contextlib.redirect_stdout(io.StringIO()):
        detections = truth.loadRes(example.detections(kind))
    return run(COCOeval(truth, detections, kind), **params)


def feed(metric, truth, predictions):
    """Feed a metric as the test loop does, one image a batch."""
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


def capture_log(monkeypatch, caplog):
    """What mmengine's logger is told, from ``INFO`` on."""
    monkeypatch.setattr(MMLogger, 'get_current_instance', logging.getLogger)
    caplog.set_level('INFO')
    return caplog
