"""The prediction for one image, as NumPy arrays."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from pycocotools import mask as rle


@dataclass(repr=False)
class Result:
    """The prediction for one image.

    Args:
        classes: Names of all classes of the model.
        size: Height and width of the image in pixels.
        path: The image file; an empty string for an array.
        boxes: ``(N, 4)`` float32: x1, y1, x2, y2 in pixels.
        scores: ``(N,)`` float32, from 0 to 1, in descending order.
        labels: ``(N,)`` int64, indices in ``classes``.
        masks: ``(N, H, W)`` bool, or ``None`` if the model predicts no masks of instances.
        segmentation: ``(H, W)`` int64, the class of each pixel, or ``None`` if the model predicts none.
        probabilities: ``(C,)`` float32 of an image classifier, or ``None``.
        image: ``(H, W, 3)`` uint8, BGR, for ``plot``.
    """

    classes: Tuple[str, ...]
    size: Tuple[int, int]
    path: str = ''
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    masks: Optional[np.ndarray] = None
    segmentation: Optional[np.ndarray] = None
    probabilities: Optional[np.ndarray] = None
    image: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        return f'Result({self.summary()}, size={self.size}, path={self.path!r})'

    def summary(self) -> str:
        """Describe the prediction in a few words, such as ``'2 dog, 1 person'``."""
        if self.probabilities is not None:
            label = int(np.argmax(self.probabilities))
            return f'{self.classes[label]} {self.probabilities[label]:.2f}'
        if self.segmentation is not None:
            labels, counts = np.unique(self.segmentation, return_counts=True)
            order = np.argsort(-counts)[:5]
            total = self.segmentation.size
            return ', '.join(f'{self.classes[labels[i]]} {counts[i] / total:.0%}' for i in order)
        labels, counts = np.unique(self.labels, return_counts=True)
        return ', '.join(f'{count} {self.classes[i]}' for i, count in zip(labels, counts)) or 'nothing found'

    @property
    def names(self) -> List[str]:
        """The class names of ``labels``."""
        return [self.classes[label] for label in self.labels]

    def select(self, keep: np.ndarray) -> 'Result':
        """Return the instances with these indices, or for which a mask ``(N,)`` is true."""
        masks = None if self.masks is None else self.masks[keep]
        boxes, scores, labels = self.boxes[keep], self.scores[keep], self.labels[keep]
        return replace(self, boxes=boxes, scores=scores, labels=labels, masks=masks)

    def to_dict(self) -> Dict[str, Any]:
        """Return everything but the image for JSON; masks are COCO run lengths."""
        content: Dict[str, Any] = dict(path=self.path, size=list(self.size))
        if self.probabilities is not None:
            order = np.argsort(-self.probabilities)[:5]
            content['top'] = [
                dict(name=self.classes[i], label=int(i), score=float(self.probabilities[i])) for i in order
            ]
            return content
        if self.segmentation is not None:
            content['segmentation'] = [
                dict(name=self.classes[i], label=int(i), **_encode(self.segmentation == i))
                for i in np.unique(self.segmentation)
            ]
            return content
        content.update(
            boxes=[[round(float(v), 3) for v in box] for box in self.boxes],
            scores=[round(float(score), 6) for score in self.scores],
            labels=self.labels.tolist(),
            names=self.names,
            masks=None if self.masks is None else [_encode(mask) for mask in self.masks],
        )
        return content

    def to_coco(
        self, image_id: Union[int, str], category_ids: Optional[Sequence[int]] = None
    ) -> List[Dict[str, Any]]:
        """Return the instances as COCO results.

        Args:
            image_id: The id of the image in the annotation file.
            category_ids: The category id of each class; by default the label plus 1.
        """
        found = []
        for index, (box, score, label) in enumerate(zip(self.boxes, self.scores, self.labels)):
            x1, y1, x2, y2 = map(float, box)
            category = category_ids[label] if category_ids else int(label) + 1
            item = dict(image_id=image_id, category_id=category, score=float(score))
            item['bbox'] = [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)]
            if self.masks is not None:
                item['segmentation'] = _encode(self.masks[index])
            found.append(item)
        return found

    def to_supervision(self) -> Any:
        """Return the instances as ``supervision.Detections``."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            confidence=self.scores,
            class_id=self.labels,
            mask=self.masks,
            data=dict(class_name=np.array(self.names, dtype=object).astype(str)),
        )

    def plot(self) -> np.ndarray:
        """Draw the prediction on the image; return ``(H, W, 3)`` uint8, BGR."""
        from .drawing import draw

        return draw(self)

    def save(self, path: Union[str, Path]) -> Path:
        """Draw the prediction and write it to an image file.

        Raises:
            OSError: If the file cannot be written.
        """
        path = Path(path).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        is_encoded, data = cv2.imencode(path.suffix or '.jpg', self.plot())
        if not is_encoded:
            raise OSError(f'{path} cannot be written: use a suffix such as .jpg or .png')
        path.write_bytes(data.tobytes())
        return path


def _encode(mask: np.ndarray) -> Dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return dict(size=[int(v) for v in encoded['size']], counts=encoded['counts'].decode())
