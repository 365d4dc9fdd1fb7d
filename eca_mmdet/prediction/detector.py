"""Load a trained model and predict on images."""

from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from ..apis.check_weights import check_fits
from ..apis.config import load_config
from ..apis.load_detector import load_detector
from ..checkpoints.find_weights import find_weights
from ..checkpoints.io import prefix_errors, read_checkpoint
from ..config_package import CONFIGS, PACKAGE
from ..datasets.config_datasets import resolve_type
from ..hosts import host_of, require_host
from .embedded_config import read_config_text
from .result import Result
from .sources import SourceImage, UnreadableImage, is_stream, read_image, read_images, stream

Source = Any
_LOADERS = (
    'LoadImageFromFile',
    'LoadImageFromNDArray',
    'LoadAnnotations',
    'LoadPanopticAnnotations',
    'LoadPanoptic',
)
_PANOPTIC_OFFSET = 1000  # INSTANCE_OFFSET of mmdet


class Detector:
    """A trained model that predicts on images: a detector, a segmentation model or an image classifier.

    Args:
        config_or_weights: A checkpoint of ``tools/train.py`` or ``tools/convert_weights.py``, which knows its
            config and its classes; nothing in it is executed. With ``weights``, a config: a file, a name such
            as ``'mask_rcnn_ecanet50_fpn_1x'``, or ``eca_mmdet::NAME.py``.
        weights: The checkpoint for a config.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.

    Attributes:
        classes: The names of the classes.
        unreadable: Path and reason of each file of a folder that could not be read by the last ``predict``.

    Raises:
        HostError: If the host library of the model is missing.
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
    ) -> None:
        if weights is None:
            self.cfg, model, meta = _load_checkpoint_alone(Path(config_or_weights).expanduser())
        else:
            self.cfg = load_config(find_config(str(config_or_weights)))
            model, meta = _load_model(self.cfg, Path(weights).expanduser())
        self.device = torch.device(device or ('cuda:0' if torch.cuda.is_available() else 'cpu'))
        self.model: Any = model.to(self.device).eval()
        self.classes = _class_names(self.cfg, meta)
        self.unreadable: List[Tuple[str, str]] = []
        self._scope = host_of(self.cfg).scope
        if self._scope == 'mmdet':
            from ..engine import use_channels_last

            use_channels_last(self.model)  # faster on a CPU, with the same values
        self._pipeline = self._build_pipeline()

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

    @torch.no_grad()
    def _predict_batch(
        self, batch: List[SourceImage], score_thr: float, labels: Optional[List[int]]
    ) -> List[Result]:
        with DefaultScope.overwrite_default_scope(self._scope):
            data = pseudo_collate([self._prepare(image) for image in batch])
            samples = self.model.test_step(data)
        return [self._result(*pair, score_thr, labels) for pair in zip(samples, batch)]

    def _prepare(self, image: SourceImage) -> Dict[str, Any]:
        shape = image.pixels.shape[:2]
        info = dict(img_path=image.path, img_id=0, sample_idx=0, img=image.pixels.copy())
        return self._pipeline(dict(**info, img_shape=shape, ori_shape=shape))

    def _result(
        self, sample: Any, image: SourceImage, score_thr: float, labels: Optional[List[int]]
    ) -> Result:
        height, width = image.pixels.shape[:2]
        result = Result(self.classes, (height, width), image.path, image=image.pixels)
        if 'pred_score' in sample:
            result.probabilities = sample.pred_score.cpu().numpy().astype(np.float32)
        elif 'pred_sem_seg' in sample:
            result.segmentation = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
        elif 'pred_panoptic_seg' in sample:
            segments = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy()
            result = _panoptic_instances(result, segments)
        elif 'pred_instances' in sample:
            found = sample.pred_instances
            result.boxes = found.bboxes.cpu().numpy().astype(np.float32).reshape(-1, 4)
            result.scores = found.scores.cpu().numpy().astype(np.float32)
            result.labels = found.labels.cpu().numpy().astype(np.int64)
            if 'masks' in found:
                result.masks = found.masks.cpu().numpy().astype(bool).reshape(-1, height, width)
            keep = result.scores >= score_thr
            if labels is not None:
                keep &= np.isin(result.labels, labels)
            order = np.flatnonzero(keep)
            result = result.select(order[np.argsort(-result.scores[order], kind='stable')])
        return result

    def _labels(self, classes: Optional[Sequence[Union[str, int]]]) -> Optional[List[int]]:
        if classes is None:
            return None
        chosen = [classes] if isinstance(classes, (str, int)) else list(classes)
        known = {name: label for label, name in enumerate(self.classes)}
        unknown = [name for name in chosen if name not in known and name not in known.values()]
        if unknown:
            raise ValueError(f'unknown classes {unknown}. The model has {", ".join(self.classes[:20])}')
        return [known[name] if isinstance(name, str) else name for name in chosen]

    def _build_pipeline(self) -> Compose:
        dataset = self.cfg.get('test_dataloader', {}).get('dataset', {})
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset['dataset']
        if 'pipeline' not in dataset:
            raise ValueError(
                'the config has no test_dataloader with a pipeline, so images cannot be prepared'
            )
        steps = [step for step in dataset['pipeline'] if _type_name(step) not in _LOADERS]
        with DefaultScope.overwrite_default_scope(self._scope):
            return Compose(steps)


def _panoptic_instances(result: Result, segments: np.ndarray) -> Result:
    """Add the segments of mmdet's panoptic result ``(H, W)``: label + 1000 x number, without scores."""
    numbers = [n for n in np.unique(segments) if n % _PANOPTIC_OFFSET < len(result.classes)]
    masks = segments[None] == np.array(numbers, segments.dtype)[:, None, None]
    boxes = np.zeros((len(numbers), 4), np.float32)
    for box, mask in zip(boxes, masks):
        y, x = np.nonzero(mask)
        box[:] = x.min(), y.min(), x.max() + 1, y.max() + 1
    labels = np.array(numbers, np.int64) % _PANOPTIC_OFFSET
    scores = np.ones(len(numbers), np.float32)
    return replace(result, boxes=boxes, scores=scores, labels=labels, masks=masks)


def find_config(name: str) -> str:
    """Return the path of a config that is given as a file or by its name."""
    if '::' in name or Path(name).expanduser().is_file():
        return name
    matches = sorted(CONFIGS.rglob(f'{Path(name).stem}.py'))
    matches = [path for path in matches if '_base_' not in path.parts]
    if len(matches) != 1:
        found = [path.relative_to(CONFIGS).as_posix() for path in matches]
        raise FileNotFoundError(
            f'{name}: no such config file, and {PACKAGE} has {found or "no config of this name"}. '
            'The configs of this project are in configs/'
        )
    return str(matches[0])


def _load_checkpoint_alone(path: Path) -> Tuple[Config, nn.Module, Dict[str, Any]]:
    """Build and load the model of a checkpoint that describes itself."""
    with prefix_errors(path):
        meta = dict(find_weights(read_checkpoint(path)).meta)
        text = meta.get('cfg')
        if text is None:
            model: Any = load_detector(path)
            return model.cfg, model, dict(dataset_meta=model.dataset_meta)
        cfg = read_config_text(text)
    model, meta = _load_model(cfg, path)
    return cfg, model, meta


def _load_model(cfg: Config, path: Path) -> Tuple[nn.Module, Dict[str, Any]]:
    host = host_of(cfg)
    require_host(host)
    init_default_scope(host.scope)
    other_entries = check_fits(cfg, str(path))
    with DefaultScope.overwrite_default_scope(host.scope):
        settings = deepcopy(cfg.model)
        _remove_init(settings)
        model = MODELS.build(settings)
    load_checkpoint(model, str(path), map_location='cpu', logger='silent')
    meta = other_entries.get('meta')
    return model, dict(meta) if isinstance(meta, dict) else {}


def _remove_init(node: Any) -> None:
    """Remove the initialisation of all parts, which could load other files."""
    for key, value in list(node.items()) if isinstance(node, dict) else enumerate(node):
        if key == 'init_cfg':
            node[key] = None
        elif isinstance(value, (dict, list, tuple)):
            _remove_init(value)


def _class_names(cfg: Config, meta: Dict[str, Any]) -> Tuple[str, ...]:
    described = meta.get('dataset_meta')
    names = described.get('classes') if isinstance(described, dict) else None
    if names is None:
        dataset = cfg.get('test_dataloader', {}).get('dataset', {})
        names = (dataset.get('metainfo') or {}).get('classes')
        kind = dataset.get('type')
        with DefaultScope.overwrite_default_scope(host_of(cfg).scope):
            cls = resolve_type(DATASETS, kind) if kind else None
        names = names or getattr(cls, 'METAINFO', {}).get('classes')
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            'neither the checkpoint nor the config names the classes. Set '
            'test_dataloader.dataset.metainfo=dict(classes=(...)) in the config'
        )
    return tuple(names)


def _type_name(step: Any) -> str:
    return str(step.get('type') if isinstance(step, dict) else type(step).__name__).split('.')[-1]
