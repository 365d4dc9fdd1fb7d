"""Pure conversions of checkpoint formats, and the one place that reads and writes files."""

from .conversion import Conversion
from .convert import DETECTORS, SOURCES, convert_file
from .detector_conversion import convert_detector, detector_to_1x, detector_to_3x, recognise_detector
from .effect import LoadedWeightsError
from .find_weights import find_weights
from .formats import FORMATS, TARGETS, convert
from .io import read_checkpoint, write_checkpoint, write_weights
from .mmengine_loading import register_loading
from .mobilenet import convert_official_mobilenet, recognise_official_mobilenet, to_official_mobilenet
from .official import convert_official
from .training_state import allow_training_state

__all__ = [
    'Conversion',
    'DETECTORS',
    'FORMATS',
    'LoadedWeightsError',
    'SOURCES',
    'TARGETS',
    'allow_training_state',
    'convert',
    'convert_detector',
    'convert_file',
    'convert_official',
    'convert_official_mobilenet',
    'detector_to_1x',
    'detector_to_3x',
    'find_weights',
    'read_checkpoint',
    'recognise_detector',
    'recognise_official_mobilenet',
    'register_loading',
    'to_official_mobilenet',
    'write_checkpoint',
    'write_weights',
]
