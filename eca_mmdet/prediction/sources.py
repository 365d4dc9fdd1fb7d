"""Read images from paths, arrays, folders, patterns and videos."""

import glob
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Union

import cv2
import numpy as np

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class SourceImage(NamedTuple):
    """An image to predict on."""

    pixels: np.ndarray  # (H, W, 3), uint8, BGR
    path: str = ''  # the file; '' for an array. Frames of a video have the number of the frame at the end


class UnreadableImage(ValueError):
    """A file that cannot be read as an image."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f'{path} {reason}')
        self.path, self.reason = path, reason


def is_stream(source: Any) -> bool:
    """Whether a source is a folder, a pattern such as ``'*.jpg'`` or a video."""
    if not isinstance(source, (str, Path)):
        return False
    path = Path(source).expanduser()
    return path.is_dir() or path.suffix.lower() in VIDEOS or (not path.exists() and glob.has_magic(str(path)))


def stream(source: Union[str, Path]) -> Iterator[Union[SourceImage, UnreadableImage]]:
    """Yield the images of a folder (in the order of their names), a pattern or a video.

    A file that cannot be read yields the error instead.

    Raises:
        FileNotFoundError: If there are no images.
        UnreadableImage: If a video cannot be opened.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() in VIDEOS and not path.is_dir():
        yield from _frames(path)
        return
    yield from read_images(list_images(path))


def read_images(paths: Iterable[Union[str, Path]]) -> Iterator[Union[SourceImage, UnreadableImage]]:
    """Read image files; one that cannot be read yields the error instead."""
    for path in paths:
        try:
            yield read_image(path)
        except UnreadableImage as error:
            yield error


def list_images(path: Path) -> List[Path]:
    """List the images of a folder or a pattern, sorted by name.

    Raises:
        FileNotFoundError: If there are none.
    """
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))
    files = sorted(file for file in found if file.suffix.lower() in IMAGES)
    if not files:
        raise FileNotFoundError(f'{path} contains no images. Read are files named {", ".join(IMAGES)}')
    return files


def read_image(source: Any) -> SourceImage:
    """Convert a path, an array or a PIL image.

    Args:
        source: An image file; an array ``(H, W, 3)`` or ``(H, W)`` of type uint8 with BGR channels, as
            ``cv2.imread`` returns it; or a PIL image.

    Raises:
        FileNotFoundError: If a file does not exist.
        UnreadableImage: If it cannot be read as an image.
        ValueError: If an array has another shape or type.
        TypeError: If it is something else.
    """
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such image')
        try:
            # cv2.imread cannot read every file name on every system, and prints warnings.
            data = np.frombuffer(path.read_bytes(), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except (OSError, cv2.error) as error:
            raise UnreadableImage(str(path), f'cannot be read: {error}') from None
        if pixels is None:
            raise UnreadableImage(str(path), 'is not an image or is damaged')
        return SourceImage(pixels, str(path))
    if hasattr(source, 'convert') and hasattr(source, 'mode'):  # PIL, which is not imported here
        return SourceImage(np.ascontiguousarray(np.asarray(source.convert('RGB'))[..., ::-1]))
    if isinstance(source, np.ndarray):
        return SourceImage(_to_bgr(source))
    raise TypeError(
        f'cannot predict on {type(source).__name__}. Allowed are a path, a BGR array of type uint8, a PIL '
        'image, a list of these, a folder, a pattern and a video'
    )


def _to_bgr(array: np.ndarray) -> np.ndarray:
    is_color = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (is_color or array.ndim == 2) or 0 in array.shape:
        raise ValueError(
            f'an array must be (H, W, 3) or (H, W) of type uint8 with BGR channels, got {array.shape} of '
            f'type {array.dtype}. Convert it with cv2.cvtColor or (array * 255).astype("uint8")'
        )
    return np.ascontiguousarray(array) if is_color else cv2.cvtColor(array, cv2.COLOR_GRAY2BGR)


def _frames(path: Path) -> Iterator[SourceImage]:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such video')
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise UnreadableImage(str(path), 'cannot be opened as a video')
        number = 0
        while True:
            is_read, pixels = video.read()
            if not is_read:
                return
            number += 1
            yield SourceImage(pixels, f'{path}#{number:06d}')
    finally:
        video.release()
