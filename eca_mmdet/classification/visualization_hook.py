"""Draw ground truth and prediction of test images."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import mmcv
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample

from ..visualization import dataset_file_names

_SHORT_EDGE = 256  # of a visualization, in pixels, so that the text on a small image can be read


@HOOKS.register_module()
class ClassificationVisualizationHook(Hook):
    """Write each test image with its ground truth, prediction and score.

    MMPretrain's ``VisualizationHook`` draws on the normalised crop with red and blue exchanged, and images of
    the same name in two class folders overwrite each other.

    Args:
        out_dir: Output folder.

    Attributes:
        file_names: Maps the path of each image to its visualization, relative to ``out_dir``.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self.file_names: Dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Choose the file names for the whole dataset, so that all processes use the same ones."""
        self.file_names = dataset_file_names(runner.test_dataloader.dataset)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Sequence[DataSample]] = None,
    ) -> None:
        """Draw the images of a batch."""
        for index, sample in enumerate(outputs or ()):
            path = sample.get('img_path')
            if path is None:  # a dataset without files, such as CIFAR-10
                image = data_batch['inputs'][index].permute(1, 2, 0).numpy()
                name = f'{sample.get("sample_idx", f"{batch_idx}_{index}")}.png'
            else:
                image = mmcv.imread(path, channel_order='rgb')
                name = self.file_names.get(path, Path(path).name)
            runner.visualizer.visualize_cls(
                image,
                sample,
                resize=max(_SHORT_EDGE, min(image.shape[:2])),
                out_file=str(self.out_dir / name),
            )
