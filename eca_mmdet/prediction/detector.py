"""Load a trained model and predict on images."""

from itertools import islice
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config

from ..apis.config import load_config
from .backends import Predictor, choose_predictor, open_exported
from .model_loading import class_names, find_config, load_checkpoint_alone, load_model
from .result import Result
from .sources import SourceImage, UnreadableImage, is_stream, read_image, read_images, stream

Source = Any


class Detector:
    """A trained model that predicts on images: a detector, a segmentation model or an image classifier.

    Args:
        config_or_weights: A checkpoint of ``tools/train.py`` or ``tools/convert_weights.py``, which knows its
            config and its classes; nothing in it is executed. Or a file of ``tools/export.py``, such as
            ``'model.onnx'``. With ``weights``, a config: a file, a name such as
            ``'mask_rcnn_ecanet50_fpn_1x'``, or ``eca_mmdet::NAME.py``.
        weights: The checkpoint for a config.
        device: Such as ``'cuda:0'``; by default a GPU if there is one. Exported models run on the CPU.
        backend: What computes: ``'torch'``, ``'onnxruntime'``, ``'openvino'``, or ``'auto'`` for the
            preferred one that the model and the installed packages allow. By default torch for a checkpoint
            and onnxruntime for an exported model.

    Attributes:
        cfg: The config of a checkpoint; ``None`` for an exported model.
        model: The module that computes; ``None`` if another backend does.
        classes: The names of the classes.
        unreadable: Path and reason of each file of a folder that could not be read by the last ``predict``.

    Raises:
        HostError: If the host library of the model is missing.
        MissingPackageError: If a package of the backend is missing.
        FileNotFoundError: If a file does not exist.
        ValueError: If the checkpoint does not contain a whole model, or its config is not plain data.

    Examples:
        >>> detector = Detector('work_dirs/mask_rcnn_ecanet50_fpn_1x/epoch_12.pth')
        >>> result = detector.predict('street.jpg', score_thr=0.5)
        >>> result.boxes, result.names
        >>> result.save('street_predicted.jpg')
    """

    def __init__(
        self,
        config_or_weights: Union[str, Path],
        weights: Union[str, Path, None] = None,
        device: Union[str, torch.device, None] = None,
        backend: Optional[str] = None,
    ) -> None:
        path = Path(config_or_weights).expanduser()
        self.device = torch.device(device or ('cuda:0' if torch.cuda.is_available() else 'cpu'))
        self.cfg: Optional[Config] = None
        self.model: Any = None
        self.unreadable: List[Tuple[str, str]] = []
        if weights is None and path.suffix.lower() == '.onnx':
            self._predictor: Predictor = open_exported(path, backend)
        else:
            if weights is None:
                self.cfg, model, meta = load_checkpoint_alone(path)
            else:
                self.cfg = load_config(find_config(str(config_or_weights)))
                model, meta = load_model(self.cfg, Path(weights).expanduser())
            names = class_names(self.cfg, meta)
            self._predictor = choose_predictor(self.cfg, model, names, self.device, backend)
            self.model = getattr(self._predictor, 'module', None)
        self.classes = self._predictor.classes

    def predict(
        self,
        source: Source,
        score_thr: float = 0.3,
        batch_size: int = 1,
        classes: Optional[Sequence[Union[str, int]]] = None,
    ) -> Union[Result, List[Result], Iterator[Result]]:
        """Predict on one or more images.

        Args:
            source: A path, an array ``(H, W, 3)`` of type uint8 with BGR channels (as ``cv2.imread`` returns
                it), a PIL image, or a list of these; or a folder, a pattern such as ``'images/*.jpg'``, or a
                video.
            score_thr: Instances with a lower score are left out.
            batch_size: Number of images that the model computes at once.
            classes: Names or labels of the classes of instances to keep; ``None`` for all.

        Returns:
            One result for one image, a list for a list. For a folder, a pattern or a video a generator,
            which never holds more than one batch. Files that cannot be read are left out by the
            generator and listed in ``unreadable``.

        Raises:
            FileNotFoundError: If a file does not exist or a folder has no images.
            ValueError: If an image cannot be read, or a class is unknown.
        """
        labels = self._check(batch_size, classes)
        if is_stream(source):
            return self._predict_stream(self._readable(stream(source)), score_thr, batch_size, labels)
        if isinstance(source, (list, tuple)):
            images = map(read_image, source)
            return list(self._predict_stream(images, score_thr, batch_size, labels))
        return self._predict_batch([read_image(source)], score_thr, labels)[0]

    def predict_files(
        self,
        paths: Sequence[Union[str, Path]],
        score_thr: float = 0.3,
        batch_size: int = 1,
        classes: Optional[Sequence[Union[str, int]]] = None,
    ) -> Iterator[Result]:
        """Predict on image files like ``predict`` on a folder: files that cannot be read are left out."""
        labels = self._check(batch_size, classes)
        return self._predict_stream(self._readable(read_images(paths)), score_thr, batch_size, labels)

    def _check(self, batch_size: int, classes: Optional[Sequence[Union[str, int]]]) -> Optional[List[int]]:
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: it must be at least 1')
        self.unreadable = []
        return self._labels(classes)

    def _readable(self, images: Iterable[Union[SourceImage, UnreadableImage]]) -> Iterator[SourceImage]:
        for image in images:
            if isinstance(image, UnreadableImage):
                self.unreadable.append((image.path, image.reason))
            else:
                yield image

    def _predict_stream(
        self, images: Iterable[SourceImage], score_thr: float, batch_size: int, labels: Optional[List[int]]
    ) -> Iterator[Result]:
        images = iter(images)
        while batch := list(islice(images, batch_size)):
            yield from self._predict_batch(batch, score_thr, labels)

    def _predict_batch(
        self, batch: List[SourceImage], score_thr: float, labels: Optional[List[int]]
    ) -> List[Result]:
        return [_filtered(result, score_thr, labels) for result in self._predictor.predict(batch)]

    def _labels(self, classes: Optional[Sequence[Union[str, int]]]) -> Optional[List[int]]:
        if classes is None:
            return None
        chosen = [classes] if isinstance(classes, (str, int)) else list(classes)
        known = {name: label for label, name in enumerate(self.classes)}
        unknown = [name for name in chosen if name not in known and name not in known.values()]
        if unknown:
            raise ValueError(f'unknown classes {unknown}. The model has {", ".join(self.classes[:20])}')
        return [known[name] if isinstance(name, str) else name for name in chosen]


def _filtered(result: Result, score_thr: float, labels: Optional[List[int]]) -> Result:
    """Return the instances with a score of at least ``score_thr`` and one of the labels, best first."""
    keep = result.scores >= score_thr
    if labels is not None:
        keep &= np.isin(result.labels, labels)
    order = np.flatnonzero(keep)
    return result.select(order[np.argsort(-result.scores[order], kind='stable')])
