"""Panoptic quality on COCO's panoptic format, without ``panopticapi``.

mmdet's ``CocoPanopticMetric`` needs the package ``panopticapi``, which is not on PyPI. It writes every
prediction to a PNG file and reads it back, and does not return the results of the classes.
"""

import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.fileio import load

from ..panoptic_png import read_segment_ids
from .panoptic_quality import class_qualities, count_segments, mean_quality
from .per_class import unique_category_names


@METRICS.register_module()
class PanopticMetric(BaseMetric):
    """Evaluate PQ, SQ and RQ in percent, named as in mmdet's ``CocoPanopticMetric``.

    Label ``i`` is the ``i``-th used category of the annotation file, as in mmdet's datasets.

    Args:
        ann_file: Annotation file in COCO's panoptic format.
        seg_prefix: Folder of its PNG files.
        classwise: Whether to report the PQ of every class, as ``NAME_PQ``.
        backend_args: Storage backend of the files.
        collect_device: Device on which the results of all processes are collected.
        prefix: Prefix of the names of the results, by default ``coco_panoptic``.
    """

    default_prefix = 'coco_panoptic'

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        classwise: bool = False,
        backend_args: Optional[dict] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.seg_prefix, self.classwise, self.backend_args = seg_prefix, classwise, backend_args
        content = load(ann_file, backend_args=backend_args)
        self._truths = {item['image_id']: item for item in content['annotations']}
        self._categories: List[dict] = content['categories']

    def _used_categories(self) -> List[dict]:
        """Return the category of each label."""
        classes: Any = self.dataset_meta
        return [category for category in self._categories if category['name'] in classes['classes']]

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the matches and errors of a batch.

        Raises:
            ValueError: If an image is not in the annotation file, or a prediction has another size than the
                image or an unknown label.
        """
        label_of = {category['id']: label for label, category in enumerate(self._used_categories())}
        for sample in data_samples:
            image = sample['img_id']
            if image not in self._truths:
                raise ValueError(
                    f'image {image!r} is not in the annotation file of the metric. '
                    'Set ann_file of the evaluator to that of the dataset.'
                )
            annotation = self._truths[image]
            path = os.path.join(self.seg_prefix, annotation['file_name'])
            truth = read_segment_ids(path, self.backend_args)
            predicted = sample['pred_panoptic_seg']['sem_seg'].cpu().numpy()[0]
            if truth.shape != predicted.shape:
                raise ValueError(
                    f'{path} has height and width {truth.shape}, but the prediction has {predicted.shape}'
                )
            void = {len(label_of), sample['pred_panoptic_seg'].get('ignore_index', len(label_of))}
            labels = {int(i): int(i % INSTANCE_OFFSET) for i in np.unique(predicted)}
            labels = {i: label for i, label in labels.items() if label not in void}
            _check_labels(set(labels.values()), len(label_of), image)
            segments = annotation['segments_info']
            self.results.append(count_segments(truth, segments, predicted, labels, label_of))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluate the counts of all images."""
        categories = self._used_categories()
        qualities = 100 * class_qualities(np.sum(results, axis=0))
        is_thing = np.array([bool(category['isthing']) for category in categories])
        found: Dict[str, float] = {}
        for suffix, is_used in (('', None), ('_th', is_thing), ('_st', ~is_thing)):
            for name, value in zip(('PQ', 'SQ', 'RQ'), mean_quality(qualities, is_used)):
                found[name + suffix] = float(value)
        if self.classwise:
            names = unique_category_names(categories)
            found.update((f'{name}_PQ', float(row[0])) for name, row in zip(names, qualities))
        return found


def _check_labels(labels: set, classes: int, image: Any) -> None:
    wrong = sorted(label for label in labels if label >= classes)
    if wrong:
        raise ValueError(
            f'image {image}: the detector predicted the labels {wrong[:5]}, but the data has {classes} '
            'classes. Set num_things_classes and num_stuff_classes in the heads of the model.'
        )
