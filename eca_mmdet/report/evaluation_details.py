"""What an evaluation stores for the report besides its numbers, and the file that holds it."""

import base64
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..atomic_write import write_text
from ..results_file import plain

FILE_NAME = 'evaluation.json'
MOST_CLASSES = 100
"""With more classes, a confusion matrix cannot be read and only its largest errors are stored."""
_PAIRS = 20


@dataclass
class Curves:
    """Precision over recall.

    Args:
        recall: The recalls at which precision is given.
        mean: Precision, as a mean over the classes, for each IoU threshold, such as ``'0.50'``.
        classes: Precision of each class at the IoU threshold ``iou``. ``None`` where it is not measured.
        iou: The IoU threshold of ``classes``.
    """

    recall: List[float]
    mean: Dict[str, List[Optional[float]]]
    classes: Dict[str, List[Optional[float]]]
    iou: str


@dataclass
class Confusion:
    """A confusion matrix.

    Args:
        names: Names of rows and columns.
        note: How the counts were made.
        largest: The most frequent errors: truth, prediction and count.
        counts: Rows are the truth, columns the prediction. ``None`` if there are too many classes.
        has_background: Whether the last row and column are what is no object, as in detection.
    """

    names: List[str]
    note: str
    largest: List[Tuple[str, str, int]]
    counts: Optional[List[List[int]]] = None
    has_background: bool = False

    @classmethod
    def from_counts(
        cls, names: Sequence[str], counts: np.ndarray, note: str, has_background: bool = False
    ) -> 'Confusion':
        """Make a confusion matrix from an integer array ``(N, N)``, rows are the truth."""
        errors = counts.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind='stable')[:_PAIRS]
        places = [np.unravel_index(place, errors.shape) for place in order]
        largest = [(names[row], names[column], int(errors[row, column])) for row, column in places]
        is_small = len(names) <= MOST_CLASSES
        return cls(
            names=list(names) if is_small else [],
            note=note,
            largest=[pair for pair in largest if pair[2]],
            counts=counts.tolist() if is_small else None,
            has_background=has_background,
        )


@dataclass
class Example:
    """One image of an evaluation.

    Args:
        group: Why it is shown, such as ``'best'`` or ``'worst'``.
        name: The image file.
        caption: What was found in it.
        pictures: Encoded images of ``encode_picture``, and what each shows.
    """

    group: str
    name: str
    caption: str
    pictures: List[Tuple[str, str]] = field(default_factory=list)


@dataclass
class EvaluationDetails:
    """Details of one metric.

    Args:
        title: What was evaluated, such as ``'bbox'``.
        classes: Values of each class by the name of their column.
        curves: Precision over recall, of detection.
        confusion: The confusion matrix.
        examples: Images with good or bad results.
        note: How the examples were chosen and drawn.
    """

    title: str
    classes: Dict[str, Dict[str, Optional[float]]]
    curves: Optional[Curves] = None
    confusion: Optional[Confusion] = None
    examples: List[Example] = field(default_factory=list)
    note: str = ''

    def to_dict(self) -> Dict[str, Any]:
        """Return the details for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Dict[str, Any]) -> 'EvaluationDetails':
        """Return the details that ``to_dict`` wrote."""
        curves, confusion = content.get('curves'), content.get('confusion')
        return cls(
            **{
                **content,
                'curves': curves and Curves(**curves),
                'confusion': confusion and Confusion(**confusion),
                'examples': [Example(**example) for example in content.get('examples', ())],
            }
        )


def encode_picture(image: np.ndarray, width: int) -> str:
    """Encode an image ``(H, W, 3)``, BGR, as a JPEG that an HTML page can contain.

    Args:
        image: The image.
        width: Larger images are reduced to this width in pixels.
    """
    if image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()


def write_evaluation(
    work_dir: Union[str, Path], metrics: Dict[str, Any], details: Sequence[EvaluationDetails], **about: Any
) -> None:
    """Write an evaluation into a work directory, in place of the one before.

    Args:
        work_dir: The work directory.
        metrics: The results with mmengine's names.
        details: Details of the metrics.
        **about: ``split`` (``'val'`` or ``'test'``), ``iteration`` and ``checkpoint``.
    """
    content = {**plain(about), 'metrics': plain(metrics), 'details': [item.to_dict() for item in details]}
    write_text(Path(work_dir, FILE_NAME), json.dumps(content))


def read_evaluation(work_dir: Union[str, Path]) -> Dict[str, Any]:
    """Read the last evaluation of a work directory; empty if there is none.

    Raises:
        ValueError: If the file is damaged.
    """
    path = Path(work_dir, FILE_NAME)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
        content['details'] = [EvaluationDetails.from_dict(item) for item in content['details']]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is damaged ({error}). Evaluate again with tools/test.py') from None
    return content
