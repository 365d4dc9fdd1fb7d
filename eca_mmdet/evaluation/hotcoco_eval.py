"""pycocotools' ``COCOeval`` with hotcoco (written in Rust) as its engine.

hotcoco does the matching and the accumulation, pycocotools the summary. The results are bit-identical to
those of pycocotools. If hotcoco is known to differ for the parameters or data, or was not tested with them,
pycocotools does everything and the log states the reason.
"""

from typing import Any, List, Optional, Union

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmengine.logging import MMLogger
from pycocotools.cocoeval import Params


class HotcocoEval(COCOeval):
    """Run ``evaluate`` and ``accumulate`` of ``COCOeval`` in hotcoco.

    Args:
        truth: The ground truth.
        detections: The content of a COCO result file, with boxes or RLE masks.
        kind: ``'bbox'`` or ``'segm'``.
    """

    def __init__(self, truth: COCO, detections: List[dict], kind: str) -> None:
        super().__init__(truth, None, kind)
        self.detections = detections
        self.engine: Any = None

    def evaluate(self) -> None:
        """Match the detections to the ground truth."""
        reason = (
            unsupported_params(self.params)
            or unsupported_data(self.cocoGt, self.detections, self.params.iouType)
            or self._start_engine()
        )
        if reason:
            MMLogger.get_current_instance().warning(f'this COCO evaluation runs on pycocotools: {reason}')
            self.engine = None
            self.cocoDt = self.cocoGt.loadRes(self.detections)
            super().evaluate()
        else:
            self.engine.evaluate()

    def _start_engine(self) -> Optional[str]:
        """Pass the data and parameters to hotcoco. Return the error if hotcoco cannot read them."""
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
        return None

    def accumulate(self) -> None:
        """Compute precision ``(T, R, K, A, M)`` and recall ``(T, K, A, M)``.

        The dimensions are IoU thresholds, recall thresholds, classes, area ranges and maximum numbers of
        detections per image.
        """
        if self.engine is None:
            return super().accumulate()
        self.engine.accumulate()
        self.eval = {**self.engine.eval, 'params': self.params}


def unsupported_params(params: Params) -> Optional[str]:
    """Return why these parameters need pycocotools, or ``None`` if hotcoco supports them.

    Tested are ``bbox`` and ``segm`` per class with any ``iouThrs``, ``maxDets``, ``imgIds`` and ``catIds``,
    COCO's recall thresholds, and any distinct area ranges.
    """
    if params.iouType not in ('bbox', 'segm'):
        return f'iouType={params.iouType!r} was not tested'
    if params.useCats != 1:
        return 'with useCats=0 hotcoco orders detections of equal score differently'
    if not np.array_equal(params.recThrs, Params(params.iouType).recThrs):
        return 'recThrs other than those of COCO were not tested'
    if len({tuple(area) for area in params.areaRng}) < len(params.areaRng):
        return 'hotcoco evaluates only the last of several equal areaRng'
    return None


def unsupported_data(truth: COCO, detections: List[dict], kind: str) -> Optional[str]:
    """Return why this data needs pycocotools, or ``None`` if hotcoco supports it."""
    try:
        return _find_unsupported(truth, detections, kind)
    except (TypeError, ValueError, KeyError) as error:
        return f'the data cannot be checked: {error!r}'


def _find_unsupported(truth: COCO, detections: List[dict], kind: str) -> Optional[str]:
    annotations = truth.dataset.get('annotations', [])
    ids = {annotation['id'] for annotation in annotations}
    needed = {'area', 'iscrowd', 'bbox' if kind == 'bbox' else 'segmentation'}
    if 0 in ids:
        return 'hotcoco never matches an annotation with the id 0'
    if len(ids) < len(annotations):
        return 'several annotations have the same id'
    if len(truth.imgs) < len(truth.dataset['images']):
        return 'several images have the same id'
    if not all(needed <= annotation.keys() for annotation in annotations):
        return f'some annotations lack one of {sorted(needed)}'
    if not {detection['image_id'] for detection in detections} <= truth.imgs.keys():
        return 'some detections belong to images that are not in the ground truth'
    numbers = [[detection['score'] for detection in detections], [item['area'] for item in annotations]]
    if kind == 'bbox':
        numbers += [[item['bbox'] for item in items] for items in (annotations, detections)]
    elif not all(_is_mask(annotation['segmentation']) for annotation in annotations):
        return 'a segmentation is empty or has a polygon with fewer than three points'
    if not all(np.isfinite(np.array(part, float)).all() for part in numbers):
        return 'some scores, areas or boxes are not finite'
    return None


def _is_mask(segmentation: Union[list, dict]) -> bool:
    if isinstance(segmentation, dict):
        return True
    return bool(segmentation) and all(len(polygon) >= 6 for polygon in segmentation)
