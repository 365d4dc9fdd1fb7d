"""Match detections to the objects of one image at one IoU threshold."""

from dataclasses import dataclass

import numpy as np

NOTHING, IGNORED = -1, -2


@dataclass
class Match:
    """The result for one image.

    Args:
        truth: For each detection the index of its object, ``NOTHING``, or ``IGNORED`` if it lies on a crowd.
        is_found: For each object, whether a detection of its class has found it.
        is_correct: For each detection, whether it has found an object of its class.
        is_crowd: For each object, whether it is ignored.
    """

    truth: np.ndarray
    is_found: np.ndarray
    is_correct: np.ndarray
    is_crowd: np.ndarray

    @property
    def correct(self) -> int:
        """Number of correct detections."""
        return int(self.is_correct.sum())

    @property
    def false(self) -> int:
        """Number of detections that are wrong: a wrong class, nothing there, or found twice."""
        return int((~self.is_correct & (self.truth != IGNORED)).sum())

    @property
    def missed(self) -> int:
        """Number of objects that no detection of their class has found."""
        return int((~self.is_found & ~self.is_crowd).sum())

    @property
    def f1(self) -> float:
        """F1 of the image; NaN if there are neither objects nor detections."""
        total = 2 * self.correct + self.false + self.missed
        return 2 * self.correct / total if total else float('nan')


def match_objects(
    ious: np.ndarray, detected: np.ndarray, labels: np.ndarray, is_crowd: np.ndarray, threshold: float
) -> Match:
    """Match each detection to the unmatched object of the highest IoU.

    Detections first look for an object of their class, as in COCO's evaluation. Those without one may then
    take an object of another class, which is a confusion of the two. What is left is background.

    Args:
        ious: IoU of detections and objects ``(D, G)``. The detections are in descending order of score.
        detected: The class of each detection ``(D,)``.
        labels: The class of each object ``(G,)``.
        is_crowd: Whether objects are crowds or to be ignored ``(G,)``.
        threshold: The lowest IoU of a match.
    """
    allowed = (ious >= threshold) & ~is_crowd
    is_free = np.ones(len(labels), bool)
    truth = np.full(len(detected), NOTHING)
    is_same = detected[:, None] == labels
    is_correct = np.zeros(len(detected), bool)
    for is_first, candidates in ((True, allowed & is_same), (False, allowed & ~is_same)):
        for index in np.flatnonzero(truth == NOTHING):
            free = np.flatnonzero(candidates[index] & is_free)
            if len(free):
                truth[index] = free[np.argmax(ious[index, free])]
                is_free[truth[index]] = False
                is_correct[index] = is_first
    on_crowd = ((ious >= threshold) & is_crowd).any(axis=1)
    truth[(truth == NOTHING) & on_crowd] = IGNORED
    is_found = np.zeros(len(labels), bool)
    is_found[truth[is_correct]] = True
    return Match(truth, is_found, is_correct, is_crowd)
