"""Run a trained model on images, folders and videos."""

from .detector import Detector
from .result import Result

__all__ = ['Detector', 'Result']
