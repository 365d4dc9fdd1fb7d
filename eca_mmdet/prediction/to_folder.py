"""Predict on many images and write drawings, COCO results and a summary."""

import json
import os
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, Optional, Sequence, Union

from mmengine.utils import ProgressBar

from ..visualization import unique_names
from .detector import Detector
from .result import Result
from .sources import VIDEOS, is_stream, list_images


class _JsonList:
    """Write a list to a JSON file item by item, so that it never is in memory."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.is_empty = file, True
        file.write('[')

    def extend(self, items: Iterable[Dict[str, Any]]) -> None:
        for item in items:
            self.file.write(('' if self.is_empty else ',') + '\n' + json.dumps(item))
            self.is_empty = False

    def close(self) -> None:
        self.file.write('\n]\n')


def predict_to_folder(
    detector: Detector,
    sources: Sequence[Union[str, Path]],
    out: Union[str, Path],
    draw: bool = True,
    ann_file: Optional[str] = None,
    **options: Any,
) -> Dict[str, Any]:
    """Predict on files, folders, patterns and videos, and write everything into a folder.

    Args:
        detector: The model.
        sources: Image files, folders, patterns such as ``'images/*.jpg'``, and videos.
        out: Output folder. It receives ``images/``, ``coco_results.json`` (only of detectors) or
            ``predictions.json`` (of other models), and ``summary.json``.
        draw: Whether to write drawings.
        ann_file: COCO annotation file with the ids of images and categories for ``coco_results.json``. By
            default the id is the number in the file name, or the file name without a number.
        **options: ``score_thr``, ``batch_size`` and ``classes`` of ``Detector.predict``.

    Returns:
        The content of ``summary.json``.

    Raises:
        FileNotFoundError: If a source does not exist.
        ValueError: If ``ann_file`` does not have the classes of the model.
    """
    out = Path(out).expanduser()
    paths = _expand(sources)
    names = unique_names(paths)
    ids = _Ids(ann_file, detector.classes)
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter = Counter()
    unreadable: List[List[str]] = []
    images, file_name = 0, ''
    start = time.perf_counter()
    with ExitStack() as stack:
        unfinished = out / 'predictions.unfinished'
        written = _JsonList(stack.enter_context(open(unfinished, 'w')))
        progress = ProgressBar(len(paths))
        for result in _results(detector, paths, unreadable, progress, options):
            images += 1
            counts.update(_counted(result))
            is_detection = result.probabilities is None and result.segmentation is None
            file_name = 'coco_results.json' if is_detection else 'predictions.json'
            written.extend(
                result.to_coco(ids.image(result.path), ids.categories) if is_detection else [result.to_dict()]
            )
            if draw:
                path, _, frame = result.path.partition('#')
                name = names.get(path, os.path.basename(path))
                result.save(out / 'images' / (f'{name}_{frame}.jpg' if frame else name))
        written.close()
    if file_name:
        os.replace(unfinished, out / file_name)
    else:
        unfinished.unlink()
    seconds = time.perf_counter() - start
    summary = dict(
        images=images,
        seconds=round(seconds, 3),
        images_per_second=round(images / seconds, 3),
        found=dict(counts.most_common()),
        unreadable=unreadable,
        results=str(out / file_name) if file_name else None,
    )
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    return summary


def _expand(sources: Sequence[Union[str, Path]]) -> List[str]:
    """List all files, so that missing ones are reported before the work starts."""
    paths: List[str] = []
    for source in sources:
        path = Path(source).expanduser()
        if is_stream(source) and path.suffix.lower() not in VIDEOS:
            paths += map(str, list_images(path))
        elif path.is_file():
            paths.append(str(path))
        else:
            raise FileNotFoundError(f'{source}: no such file or folder')
    return paths


def _results(
    detector: Detector,
    paths: Sequence[str],
    unreadable: List[List[str]],
    progress: ProgressBar,
    options: Dict[str, Any],
) -> Iterator[Result]:
    """Predict in batches over all sources. Files that cannot be read are listed and left out."""
    images = [path for path in paths if Path(path).suffix.lower() not in VIDEOS]
    for path in paths:
        if Path(path).suffix.lower() in VIDEOS:
            yield from detector.predict(path, **options)  # type: ignore[misc]
            progress.update()
    for result in detector.predict_files(images, **options):
        progress.update()
        yield result
    for path, reason in detector.unreadable:
        unreadable.append([path, reason])
        progress.update()


def _counted(result: Result) -> List[str]:
    if result.probabilities is not None:
        return [result.classes[int(result.probabilities.argmax())]]
    if result.segmentation is not None:
        return []
    return result.names


class _Ids:
    """The ids of images and categories in an annotation file."""

    def __init__(self, ann_file: Optional[str], classes: Sequence[str]) -> None:
        self.categories: Optional[List[int]] = None
        self.images: Dict[str, int] = {}
        if ann_file is None:
            return
        content = json.loads(Path(ann_file).expanduser().read_text())
        by_name = {category['name']: category['id'] for category in content['categories']}
        missing = [name for name in classes if name not in by_name]
        if missing:
            raise ValueError(f'{ann_file} has no categories {missing}, which the model predicts')
        self.categories = [by_name[name] for name in classes]
        self.images = {os.path.basename(image['file_name']): image['id'] for image in content['images']}

    def image(self, path: str) -> Union[int, str]:
        name = os.path.basename(path)
        stem = os.path.splitext(name)[0]
        return self.images.get(name, int(stem) if stem.isdigit() else name)
