"""Write one file for each test image that shows the image, its ground truth and its prediction."""

import logging
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import cv2
import mmcv
import numpy as np
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..visualization import dataset_file_names
from .side_by_side import side_by_side

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


@HOOKS.register_module()
class SideBySideHook(Hook):
    """Draw image, ground truth and prediction of each test image with the class colours of the dataset.

    Args:
        test_out_dir: Output folder.
        backend_args: Storage of the images, as in ``LoadImageFromFile``.

    Attributes:
        file_names: Maps the path of each image to its visualization, relative to ``test_out_dir``.
    """

    def __init__(self, test_out_dir: str, backend_args: Optional[dict] = None) -> None:
        self.test_out_dir, self.backend_args = test_out_dir, backend_args
        self.file_names: Dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Choose the file names for the whole dataset, so that all processes use the same ones."""
        self.file_names = {
            path: name if name.lower().endswith(_SUFFIXES) else f'{name}.jpg'
            for path, name in dataset_file_names(runner.test_dataloader.dataset).items()
        }

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[Sequence[Any]] = None
    ) -> None:
        """Draw the images of a batch."""
        meta: Any = getattr(runner.test_dataloader.dataset, 'metainfo', {})
        for sample in outputs or ():
            path = sample.img_path
            image = mmcv.imfrombytes(get(path, backend_args=self.backend_args), channel_order='rgb')
            maps = {
                'ground truth': _labels(sample, 'gt_sem_seg'),
                'prediction': _labels(sample, 'pred_sem_seg'),
            }
            drawing = side_by_side(image, maps, meta['classes'], meta['palette'])
            target = Path(self.test_out_dir, self.file_names.get(path, os.path.basename(path)))
            target.parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(target), drawing[..., ::-1]):
                print_log(f'cannot write the visualization {target}', level=logging.WARNING)


def _labels(sample: Any, name: str) -> Optional[np.ndarray]:
    found = sample.get(name)
    return None if found is None else found.data.squeeze(0).cpu().numpy()
