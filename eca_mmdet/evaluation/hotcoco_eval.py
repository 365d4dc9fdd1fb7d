"""COCO evaluation by hotcoco (Rust) behind pycocotools' ``COCOeval``, equal in every digit.

hotcoco matches and accumulates; the parameters and the summary stay pycocotools' own. It runs only
where its arrays of precision, recall and scores are proven to be pycocotools', bit by bit. For the
parameters that ``unproven`` names and the data that ``unsuitable`` names, pycocotools runs, and the
log says why.
"""

from typing import List, Optional, Union

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmengine.logging import MMLogger
from pycocotools.cocoeval import Params


class HotcocoEval(COCOeval):
    """``COCOeval`` whose ``evaluate`` and ``accumulate`` run in hotcoco.

    Args:
        truth: The ground truth.
        detections: The contents of a COCO result file, with boxes or with RLE masks.
        kind: ``bbox`` or ``segm``.
    """

    def __init__(self, truth: COCO, detections: List[dict], kind: str) -> None:
        super().__init__(truth, None, kind)
        self.detections = detections
        self.engine = None

    def evaluate(self) -> None:
        """Match the detections to the ground truth."""
        reason = (
            unproven(self.params)
            or unsuitable(self.cocoGt, self.detections, self.params.iouType)
            or self._start()
        )
        if reason:
            MMLogger.get_current_instance().warning(f'this COCO evaluation runs on pycocotools: {reason}')
            self.engine = None
            self.cocoDt = self.cocoGt.loadRes(self.detections)
            super().evaluate()
        else:
            self.engine.evaluate()

    def _start(self) -> Optional[str]:
        """Hand data and parameters to hotcoco; say what it could not read."""
        import hotcoco

        p = self.params
        p.imgIds, p.catIds = list(np.unique(p.imgIds)), list(np.unique(p.catIds))
        p.maxDets = sorted(p.maxDets)
        try:
            truth = hotcoco.COCO(self.cocoGt.dataset)
            self.engine = hotcoco.COCOeval(truth, truth.load_res(self.detections), p.iouType)
            for name in ('imgIds', 'catIds', 'maxDets', 'iouThrs', 'recThrs', 'areaRng', 'useCats'):
                setattr(self.engine.params, name, getattr(p, name))
        except (TypeError, ValueError, OverflowError) as error:
            return f'hotcoco cannot read the data: {error}'

    def accumulate(self) -> None:
        """Precision ``(T, R, K, A, M)`` and recall ``(T, K, A, M)``: thresholds, recalls, classes,
        area ranges and detections an image."""
        if self.engine is None:
            return super().accumulate()
        self.engine.accumulate()
        self.eval = {**self.engine.eval, 'params': self.params}


def unproven(params: Params) -> Optional[str]:
    """What in the parameters hotcoco treats in another way than pycocotools, or was not tested with.

    Tested are ``bbox`` and ``segm`` by class with any ``iouThrs``, ``maxDets``, ``imgIds`` and ``catIds``,
    COCO's own recall thresholds and any area ranges that are distinct.
    """
    if params.iouType not in ('bbox', 'segm'):
        return f'iouType={params.iouType!r} was not tested'
    if params.useCats != 1:
        return 'with useCats=0 it orders detections of equal score in another way'
    if not np.array_equal(params.recThrs, Params(params.iouType).recThrs):
        return 'other recThrs than those of COCO were not tested'
    if len({tuple(area) for area in params.areaRng}) < len(params.areaRng):
        return 'with equal areaRng it fills in the last of them only'
    return None


def unsuitable(truth: COCO, detections: List[dict], kind: str) -> Optional[str]:
    """What in the data hotcoco is known to treat in another way than pycocotools, if anything."""
    try:
        return _special(truth, detections, kind)
    except (TypeError, ValueError, KeyError) as error:
        return f'the data cannot be checked: {error!r}'


def _special(truth: COCO, detections: List[dict], kind: str) -> Optional[str]:
    annotations = truth.dataset.get('annotations', [])
    ids = {annotation['id'] for annotation in annotations}
    needed = {'area', 'iscrowd', 'bbox' if kind == 'bbox' else 'segmentation'}
    if 0 in ids:
        return 'it never counts an annotation of id 0 as found'
    if len(ids) < len(annotations):
        return 'annotations share an id'
    if len(truth.imgs) < len(truth.dataset['images']):
        return 'images share an id'
    if not all(needed <= annotation.keys() for annotation in annotations):
        return f'annotations lack one of {sorted(needed)}'
    if not {detection['image_id'] for detection in detections} <= truth.imgs.keys():
        return 'detections belong to images that are not in the ground truth'
    numbers = [[detection['score'] for detection in detections], [item['area'] for item in annotations]]
    if kind == 'bbox':
        numbers += [[item['bbox'] for item in items] for items in (annotations, detections)]
    elif not all(_is_mask(annotation['segmentation']) for annotation in annotations):
        return 'a segmentation is empty or has a polygon of fewer than three points'
    if not all(np.isfinite(np.array(part, float)).all() for part in numbers):
        return 'scores, areas or boxes are not finite numbers'
    return None


def _is_mask(segmentation: Union[list, dict]) -> bool:
    if isinstance(segmentation, dict):
        return True
    return bool(segmentation) and all(len(polygon) >= 6 for polygon in segmentation)
