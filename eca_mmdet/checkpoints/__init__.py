"""Pure conversions of checkpoint formats, and the one place that reads and writes files."""

from .conversion import Conversion
from .convert import DETECTORS, SOURCES, convert_file
from .detectors import convert_detector, detector_to_1x, detector_to_3x, recognise_detector
from .formats import FORMATS, TARGETS, convert
from .io import read_checkpoint, register_safetensors, write_checkpoint, write_weights
from .mobilenet import convert_official_mobilenet, recognise_official_mobilenet, to_official_mobilenet
from .official import convert_official
from .training_state import allow_training_state

__all__ = [
    'Conversion',
    'DETECTORS',
    'FORMATS',
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
    'read_checkpoint',
    'recognise_detector',
    'recognise_official_mobilenet',
    'register_safetensors',
    'to_official_mobilenet',
    'write_checkpoint',
    'write_weights',
]
