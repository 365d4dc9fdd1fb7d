"""A faster ``CocoMetric``.

Options, results and log messages match mmdet's ``CocoMetric``. The differences are:

- Detections stay in memory. mmdet writes them to a JSON file and reads them back.
- ``classwise`` reports the right AP for every class, whatever the order of the category ids. mmdet lists the
  classes in the order of the file, but pycocotools orders its arrays by category id.
- Wrong options and wrong predictions stop the run at once, not after the evaluation.
- ``iou_thrs`` may be a list or a number.
- ``proposal_fast`` supports a different number of boxes in each image.
"""

import gc
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval, COCOevalMP
from mmdet.evaluation import CocoMetric, bbox_overlaps
from mmdet.evaluation.functional.recall import _recalls
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from ..environment import installed
from ..report import EvaluationDetails
from .coco_details import CocoResults, coco_details
from .coco_options import ITEMS, PROPOSAL_ITEMS, check_options, resolve_backend
from .hotcoco_eval import HotcocoEval
from .per_class import class_stats, class_table, unique_category_names


@METRICS.register_module()
class FastCocoMetric(CocoMetric):
    """Evaluate COCO metrics with hotcoco, and fall back to pycocotools where results could differ.

    Label ``i`` is the ``i``-th used category of the annotation file, as in mmdet's datasets. The order of
    ``metainfo.classes`` is not used.

    Args:
        *args: Positional arguments of ``CocoMetric``.
        backend: ``'hotcoco'``, ``'pycocotools'`` or ``'auto'``. ``'auto'`` uses hotcoco if it is installed
            and ``use_mp_eval`` is false.
        **kwargs: Keyword arguments of ``CocoMetric``.

    Raises:
        ValueError: If the backend is unknown, is not installed or does not support ``use_mp_eval``, if
            ``proposal_nums`` has too few numbers, or if ``format_only`` is set without ``outfile_prefix``.
        KeyError: If a metric or metric item is unknown.
    """

    keep_details = False
    """Whether to keep what ``evaluation_details`` needs. ``ReportHook`` sets it."""

    # Attributes of ``CocoMetric``.
    cat_ids: Any
    iou_thrs: Any
    metric_items: Any
    _coco_api: COCO

    def __init__(self, *args: Any, backend: str = 'auto', **kwargs: Any) -> None:
        if kwargs.get('format_only') and kwargs.get('outfile_prefix') is None:
            raise ValueError('format_only=True needs outfile_prefix, the path prefix of the result files')
        if isinstance(kwargs.get('metric'), tuple):
            kwargs['metric'] = list(kwargs['metric'])
        super().__init__(*args, **kwargs)
        self.ignored_ids: Optional[set] = None
        self._kept: List[CocoResults] = []
        self.backend = resolve_backend(backend, self.use_mp_eval)
        self.iou_thrs = np.atleast_1d(np.asarray(self.iou_thrs, float))
        if isinstance(self.metric_items, str):
            self.metric_items = [self.metric_items]
        check_options(self.metrics, self.metric_items, self.proposal_nums, self.format_only)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Store a batch of predictions after checking that they can be evaluated.

        Raises:
            ValueError: If an image is not in the annotation file, a label has no class, or ``segm`` is
                evaluated and the predictions have no masks.
        """
        super().process(data_batch, data_samples)
        added = self.results[len(self.results) - len(data_samples) :]
        for sample, (_, prediction) in zip(data_samples, added):
            self._check_prediction(prediction)
            if self.keep_details:
                prediction['img_path'] = sample.get('img_path')

    def _check_prediction(self, prediction: Dict[str, Any]) -> None:
        image, labels = prediction['img_id'], prediction['labels']
        classes = len(self._category_ids() if self._coco_api else self.dataset_meta['classes'])
        wrong = sorted({int(label) for label in labels if not 0 <= label < classes})
        if wrong:
            raise ValueError(
                f'image {image}: the detector predicted the labels {wrong[:5]}, but the data has {classes} '
                f'classes (labels 0 to {classes - 1}). Set num_classes={classes} in the heads of the model.'
            )
        if self.format_only:
            return
        if self._coco_api and image not in self._coco_api.imgs:
            raise ValueError(
                f'image {image!r} is not in the annotation file of the metric. '
                'Set ann_file of the evaluator to that of the dataset.'
            )
        if 'segm' in self.metrics and len(labels) and 'masks' not in prediction:
            raise ValueError("metric='segm' needs masks, but the detector predicts none. Use metric='bbox'.")

    def _category_ids(self) -> list:
        """Return the category id of each label."""
        if self.cat_ids is None:
            self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])
        return self.cat_ids

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluate the stored predictions."""
        logger = MMLogger.get_current_instance()
        if not results:
            logger.error('There are no predictions to evaluate.')
            return {}
        truths, predictions = zip(*results)
        if self._coco_api is None:
            logger.info('Converting ground truth to coco format...')
            self._coco_api = self._build_ground_truth(truths)
        self._category_ids()
        self.img_ids = self._coco_api.get_img_ids()
        if self.outfile_prefix is not None:
            self.results2json(predictions, self.outfile_prefix)
        if self.format_only:
            logger.info(f'results are saved in {Path(self.outfile_prefix).parent}')
            return {}
        logger.info(f'COCO evaluation runs on {installed(self.backend) or self.backend}')
        with _garbage_collection_paused():
            return self._evaluate_all(predictions)

    def _build_ground_truth(self, truths: Sequence[dict]) -> COCO:
        with TemporaryDirectory() as folder:
            prefix = str(Path(folder, 'results')) if self.outfile_prefix is None else self.outfile_prefix
            return COCO(self.gt_to_coco_json(truths, prefix))

    def _evaluate_all(self, predictions: Sequence[dict]) -> Dict[str, float]:
        """Evaluate all metrics. If two report the same name, the earlier one is prefixed with its metric."""
        self._read_ignored_ids()
        self._kept = []
        found: Dict[str, float] = {}
        owner: Dict[str, str] = {}
        for metric in self.metrics:
            for name, value in self._evaluate(metric, predictions).items():
                if owner.get(name, metric) != metric:
                    found[f'{owner[name]}_{name}'] = found[name]
                found[name], owner[name] = value, metric
        return found

    def _read_ignored_ids(self) -> set:
        """Return the ids of ignored annotations, read before pycocotools overwrites their flags."""
        if self.ignored_ids is None:
            annotations = self._coco_api.anns.values()
            self.ignored_ids = {a['id'] for a in annotations if a.get('ignore') or a.get('iscrowd')}
        return self.ignored_ids

    def _evaluate(self, metric: str, predictions: Sequence[dict]) -> Dict[str, float]:
        logger = MMLogger.get_current_instance()
        logger.info(f'Evaluating {metric}...')
        if metric == 'proposal_fast':
            recalls = self.fast_eval_recall(predictions, self.proposal_nums, self.iou_thrs, logger)
            found = {f'AR@{number}': recall for number, recall in zip(self.proposal_nums, recalls)}
            logger.info('\n'.join(['', *(f'{name}\t{recall:.4f}' for name, recall in found.items())]))
            return found
        kind = 'segm' if metric == 'segm' else 'bbox'
        detections = self._detections(predictions, kind)
        if not detections:
            logger.error('The testing results of the whole dataset is empty.')
            return {}
        evaluation = self._build_evaluation(detections, kind)
        evaluation.params.catIds, evaluation.params.imgIds = list(self.cat_ids), list(self.img_ids)
        evaluation.params.maxDets, evaluation.params.iouThrs = list(self.proposal_nums), self.iou_thrs
        evaluation.params.useCats = int(metric != 'proposal')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        if self.keep_details and metric in ('bbox', 'segm'):
            ignored = self._read_ignored_ids()
            self._kept.append(
                CocoResults(evaluation, self._coco_api, predictions, list(self.cat_ids), ignored, metric)
            )
        items = self.metric_items
        if metric == 'proposal':
            items = PROPOSAL_ITEMS if items is None else items
            return {item: float(f'{evaluation.stats[ITEMS[item]]:.3f}') for item in items}
        found = self._per_class(evaluation) if self.classwise else {}
        for item in list(ITEMS)[:6] if items is None else items:
            found[f'{metric}_{item}'] = float(round(evaluation.stats[ITEMS[item]], 3))
        logger.info(f'{metric}_mAP_copypaste: ' + ' '.join(f'{ap:.3f}' for ap in evaluation.stats[:6]))
        return found

    def evaluation_details(self, with_examples: bool = True) -> List[EvaluationDetails]:
        """Compute the details of the last evaluation for the report. Empty without ``keep_details``."""
        kept, self._kept = self._kept, []
        return [coco_details(results, with_examples and not index) for index, results in enumerate(kept)]

    def _build_evaluation(self, detections: List[dict], kind: str) -> COCOeval:
        if self.backend == 'hotcoco':
            return HotcocoEval(self._coco_api, detections, kind)
        evaluator = COCOevalMP if self.use_mp_eval else COCOeval
        return evaluator(self._coco_api, self._coco_api.loadRes(detections), kind)

    def _per_class(self, evaluation: COCOeval) -> Dict[str, float]:
        names = unique_category_names(self._coco_api.load_cats(self.cat_ids))
        rows = {name: class_stats(evaluation, key)[:6] for name, key in zip(names, self.cat_ids)}
        MMLogger.get_current_instance().info('\n' + class_table(rows))
        return {f'{name}_precision': round(row[0], 3) for name, row in rows.items()}

    def _detections(self, predictions: Sequence[dict], kind: str) -> List[dict]:
        """The contents of a COCO result file, with boxes (xywh) or with RLE masks, never with both: next
        to a box, pycocotools would take the box for the area of a mask."""
        found = []
        for prediction in predictions:
            if kind == 'bbox':
                boxes = prediction['bboxes'].astype(float).reshape(-1, 4)
                boxes[:, 2:] -= boxes[:, :2]
                name, shapes, scores = 'bbox', boxes.tolist(), prediction['scores']
            else:
                name, shapes = 'segmentation', prediction.get('masks', ())
                scores = prediction.get('mask_scores', prediction['scores'])
            for shape, score, label in zip(shapes, scores.tolist(), prediction['labels'].tolist()):
                item = dict(image_id=prediction['img_id'], category_id=self.cat_ids[label], score=score)
                found.append({**item, name: shape})
        return found

    def fast_eval_recall(
        self,
        results: Sequence[dict],
        proposal_nums: Sequence[int],
        iou_thrs: Sequence[float],
        logger: Optional[MMLogger] = None,
    ) -> np.ndarray:
        """Compute the average recall of the highest-scoring boxes of each image.

        mmdet's version matches images by position and does not sort the boxes by score. It fails with
        numpy 1.24 and later if images have different numbers of boxes.

        Returns:
            Array of shape ``(len(proposal_nums),)``.
        """
        by_image = {result['img_id']: result for result in results}
        ious, ignored = np.empty(len(self.img_ids), object), self._read_ignored_ids()
        for index, image in enumerate(self.img_ids):
            annotations = self._coco_api.load_anns(self._coco_api.get_ann_ids(img_ids=[image]))
            kept = [annotation['bbox'] for annotation in annotations if annotation['id'] not in ignored]
            truth = np.array(kept, np.float32).reshape(-1, 4)
            truth[:, 2:] += truth[:, :2]
            boxes = np.zeros((0, 4), np.float32)
            if image in by_image:
                best = np.argsort(-by_image[image]['scores'], kind='stable')[: max(proposal_nums)]
                boxes = by_image[image]['bboxes'][best]
            ious[index] = bbox_overlaps(truth, boxes)
        if not sum(map(len, ious)):
            return np.full(len(proposal_nums), np.nan)
        return _recalls(ious, np.array(proposal_nums), np.array(iou_thrs)).mean(axis=1)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause Python's garbage collector.

    An evaluation creates several dicts per detection, none of them in a reference cycle. With 1,000 images,
    searching them for cycles takes more than half of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
