"""One picture for each test image, also where images in different folders have the same name."""

import os
from collections import defaultdict
from pathlib import PurePath
from typing import Dict, Iterable, Sequence

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner


@HOOKS.register_module()
class UniquePicturesHook(DetVisualizationHook):
    """``DetVisualizationHook`` that never writes two test images to the same file.

    All arguments are those of ``DetVisualizationHook``.

    Attributes:
        pictures: Path of each image of the data set to its picture below ``test_out_dir``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.pictures: Dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Name the pictures of the whole data set, so that all processes agree on them."""
        # mmdet takes the visualizer that was made last, which is another run's after several in one process.
        self._visualizer = runner.visualizer
        dataset = runner.test_dataloader.dataset
        if self.draw and self.test_out_dir is not None and hasattr(dataset, 'get_data_info'):
            infos = (dataset.get_data_info(index) for index in range(len(dataset)))
            self.pictures = unique_names(info['img_path'] for info in infos if info.get('img_path'))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Draw the pictures of one batch."""
        folder = self.test_out_dir
        for sample in outputs:
            if folder is not None and self.pictures:
                name = self.pictures.get(sample.img_path, os.path.basename(sample.img_path))
                self.test_out_dir = os.path.join(folder, os.path.dirname(name))
            super().after_test_iter(runner, batch_idx, data_batch, [sample])
        self.test_out_dir = folder


def unique_names(paths: Iterable[str]) -> Dict[str, str]:
    """A file name for each path: its last part, with folders before it only where paths share that.

    Args:
        paths: Image files, local or remote.

    Returns:
        Path to relative name; in the order of ``paths``.
    """
    paths = list(dict.fromkeys(paths))
    same = defaultdict(list)
    for path in paths:
        same[os.path.basename(path)].append(path)
    # As absolute paths they hold no `..` that could lead out of the folder of the pictures.
    parts = {path: PurePath(os.path.abspath(path)).parts for path in paths}
    names = {}
    for path in paths:
        others = [parts[other] for other in same[os.path.basename(path)]]
        shared = len(os.path.commonprefix(others)) if len(set(others)) > 1 else len(parts[path]) - 1
        names[path] = str(PurePath(*parts[path][shared:]))
    return names
