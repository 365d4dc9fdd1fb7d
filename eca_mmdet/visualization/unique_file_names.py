"""Write each visualization of a detector to its own file."""

import os
from typing import Dict, Optional, Sequence

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner

from .unique_names import dataset_file_names


@HOOKS.register_module()
class UniquePicturesHook(DetVisualizationHook):
    """Write the visualization of each test image to its own file.

    ``DetVisualizationHook`` names files after the images, so that images of the same name in different
    folders overwrite each other. All arguments are those of ``DetVisualizationHook``.

    Attributes:
        file_names: Maps the path of each image to its visualization, relative to ``test_out_dir``.
    """

    test_out_dir: Optional[str]  # of mmdet's class

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.file_names: Dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Choose the file names for the whole dataset, so that all processes use the same ones."""
        # mmdet uses the visualizer that was created last, which may belong to another run of this process.
        self._visualizer = runner.visualizer
        if self.draw and self.test_out_dir is not None:
            self.file_names = dataset_file_names(runner.test_dataloader.dataset)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Draw the visualizations of a batch."""
        folder = self.test_out_dir
        for sample in outputs:
            if folder is not None and self.file_names:
                name = self.file_names.get(sample.img_path, os.path.basename(sample.img_path))
                self.test_out_dir = os.path.join(folder, os.path.dirname(name))
            super().after_test_iter(runner, batch_idx, data_batch, [self._without_empty(sample)])
        self.test_out_dir = folder

    def _without_empty(self, sample: DetDataSample) -> DetDataSample:
        """Remove a panoptic prediction without segments, which mmdet's visualizer cannot draw."""
        predicted = getattr(sample, 'pred_panoptic_seg', None)
        if predicted is None or (predicted.sem_seg != len(self._visualizer.dataset_meta['classes'])).any():
            return sample
        sample = sample.clone()
        del sample.pred_panoptic_seg
        return sample
