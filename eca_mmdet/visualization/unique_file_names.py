"""Write the drawing of each test image of a detector to its own file."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Optional, Sequence

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..prediction.sample_results import to_result
from ..prediction.sources import SourceImage
from .truth_and_prediction import truth_and_prediction, truth_of
from .unique_names import dataset_file_names

_NO_SUPERVISION = "mmdet draws the predictions. For better drawings:\n    pip install 'eca_mmdet[predict]'"


@HOOKS.register_module()
class UniquePicturesHook(DetVisualizationHook):
    """Draw ground truth and prediction of each test image side by side, each image to its own file.

    ``DetVisualizationHook`` names files after the images, so that images of the same name in different
    folders overwrite each other. Panoptic results, ``show=True`` and installations without supervision use
    its drawings. All arguments are those of ``DetVisualizationHook``.

    Attributes:
        file_names: Maps the path of each image to its visualization, relative to ``test_out_dir``.
    """

    test_out_dir: Optional[str]  # of mmdet's class

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.file_names: Dict[str, str] = {}
        self.has_supervision = find_spec('supervision') is not None

    def before_test(self, runner: Runner) -> None:
        """Choose the file names for the whole dataset, so that all processes use the same ones."""
        # mmdet uses the visualizer that was created last, which may belong to another run of this process.
        self._visualizer = runner.visualizer
        if self.draw and self.test_out_dir is not None:
            self.file_names = dataset_file_names(runner.test_dataloader.dataset)
            if not self.has_supervision:
                print_log(_NO_SUPERVISION, 'current', logging.WARNING)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Draw the visualizations of a batch."""
        if not self.draw:
            return
        folder = self.test_out_dir
        for sample in outputs:
            name = self.file_names.get(sample.img_path, os.path.basename(sample.img_path))
            is_panoptic = 'pred_panoptic_seg' in sample
            if folder is None or self.show or is_panoptic or not self.has_supervision:
                self.test_out_dir = folder and os.path.join(folder, os.path.dirname(name))
                super().after_test_iter(runner, batch_idx, data_batch, [self._without_empty(sample)])
            else:
                target = Path(runner.work_dir, runner.timestamp, folder, name)
                self._write(sample, target, runner.visualizer.dataset_meta['classes'])
        self.test_out_dir = folder

    def _write(self, sample: DetDataSample, target: Path, classes: Sequence[str]) -> None:
        """Write the drawing of one image, in the format of the image."""
        pixels = mmcv.imfrombytes(get(sample.img_path, backend_args=self.backend_args))
        found = to_result(sample, SourceImage(pixels, sample.img_path), tuple(classes))
        truth = truth_of(sample.gt_instances, found) if 'gt_instances' in sample else None
        drawing = truth_and_prediction(truth, found.select(found.scores >= self.score_thr))
        target.parent.mkdir(parents=True, exist_ok=True)
        if not mmcv.imwrite(drawing, str(target)):
            print_log(f'cannot write the visualization {target}', 'current', logging.WARNING)

    def _without_empty(self, sample: DetDataSample) -> DetDataSample:
        """Remove a panoptic prediction without segments, which mmdet's visualizer cannot draw."""
        predicted = getattr(sample, 'pred_panoptic_seg', None)
        if predicted is None or (predicted.sem_seg != len(self._visualizer.dataset_meta['classes'])).any():
            return sample
        sample = sample.clone()
        del sample.pred_panoptic_seg
        return sample
