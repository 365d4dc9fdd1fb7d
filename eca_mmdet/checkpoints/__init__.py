"""Conversion of checkpoint formats, and the one place that reads and writes files."""

from .conversion import Conversion
from .convert import convert_file
from .detector_conversion import detector_to_1x, detector_to_3x, recognise_detector
from .effect import LoadedWeightsError
from .find_weights import find_weights
from .formats import convert, source_names, target_names
from .io import read_checkpoint, write_checkpoint, write_weights
from .latest import find_latest, read_pointer
from .mmengine_loading import register_loading
from .training_state import allow_training_state

__all__ = [
    'Conversion',
    'LoadedWeightsError',
    'allow_training_state',
    'convert',
    'convert_file',
    'detector_to_1x',
    'detector_to_3x',
    'find_latest',
    'find_weights',
    'read_checkpoint',
    'read_pointer',
    'recognise_detector',
    'register_loading',
    'source_names',
    'target_names',
    'write_checkpoint',
    'write_weights',
]
