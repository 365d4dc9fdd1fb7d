"""mmdet's ``CocoMetric`` on a fast backend.

mmdet writes all detections to a JSON file, reads them again and evaluates them in Python. With
hotcoco the file is left out unless it is asked for; options, results and log stay mmdet's.
"""

import gc
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List
from unittest import mock

from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from ..environment import installed
from .hotcoco_eval import HotcocoEval

BACKENDS = ('auto', 'hotcoco', 'pycocotools')


@METRICS.register_module()
class FastCocoMetric(CocoMetric):
    """``CocoMetric`` that evaluates with hotcoco where it is installed.

    Args:
        backend: ``hotcoco``, ``pycocotools``, or ``auto``: hotcoco where it is installed and
            ``use_mp_eval`` does not ask for pycocotools in several processes.

    All other arguments are those of ``CocoMetric``.

    Raises:
        ValueError: If there is no such backend, it is not installed, or it has no ``use_mp_eval``.
    """

    def __init__(self, *args: Any, backend: str = 'auto', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.backend = _resolve(backend, self.use_mp_eval)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluate the processed results, as mmdet's metric does."""
        MMLogger.get_current_instance().info(
            f'COCO evaluation runs on {installed(self.backend) or self.backend}'
        )
        with ExitStack() as stack:
            if self.backend == 'hotcoco':
                stack.enter_context(_no_collection())
                # mmdet fixes its evaluator by name, so for this call the names mean others.
                names = dict(COCOeval=HotcocoEval)
                if self.outfile_prefix is None:
                    names.update(_Memory(coco_metric.dump).names())
                stack.enter_context(mock.patch.multiple(coco_metric, **names))
                stack.enter_context(mock.patch.object(coco_metric.COCO, 'loadRes', _as_they_are))
            return super().compute_metrics(results)


def _resolve(backend: str, use_mp_eval: bool) -> str:
    if backend not in BACKENDS:
        raise ValueError(f'backend={backend!r}: allowed are {", ".join(BACKENDS)}')
    if backend == 'hotcoco' and use_mp_eval:
        raise ValueError("use_mp_eval belongs to pycocotools: leave it out, or set backend='pycocotools'")
    if backend == 'pycocotools' or use_mp_eval:
        return 'pycocotools'
    try:
        import hotcoco  # noqa: F401
    except ImportError as error:
        if backend == 'auto':
            return 'pycocotools'
        remedy = "pip install hotcoco, or set backend='auto'"
        raise ValueError(f"backend='hotcoco' cannot be imported ({error}): {remedy}") from None
    return 'hotcoco'


@contextmanager
def _no_collection() -> Iterator[None]:
    """mmdet makes dicts for every detection, none in a cycle. While they add up, Python searches them
    and all else in memory for cycles again and again: more than half of the time (1,000 images)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _as_they_are(truth: coco_metric.COCO, detections: List[dict]) -> List[dict]:
    """In place of ``COCO.loadRes``: ``HotcocoEval`` takes a result file's contents.

    Raises:
        IndexError: If there are none, by which mmdet knows an empty result.
    """
    detections[0]
    return detections


class _Memory:
    """Result files that are kept in memory; the ground truth, which pycocotools opens, is written."""

    def __init__(self, dump) -> None:
        self.files: Dict[str, List[dict]] = {}
        self.write = dump

    def names(self) -> Dict[str, Any]:
        return dict(dump=self.dump, load=self.load)

    def dump(self, content: Any, path: str) -> None:
        if path.endswith('.gt.json'):
            self.write(content, path)
        self.files[path] = content

    def load(self, path: str) -> List[dict]:
        return [dict(detection) for detection in self.files[path]]  # the reader changes them
