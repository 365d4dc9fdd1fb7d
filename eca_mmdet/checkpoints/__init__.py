"""Pure conversions of checkpoint formats, and the one place that reads and writes files."""

from .conversion import Conversion
from .convert import convert_file
from .formats import FORMATS, TARGETS, convert
from .io import read_checkpoint, register_safetensors, write_checkpoint, write_weights
from .official import convert_official
from .training_state import allow_training_state

__all__ = [
    'FORMATS',
    'TARGETS',
    'Conversion',
    'allow_training_state',
    'convert',
    'convert_file',
    'convert_official',
    'read_checkpoint',
    'register_safetensors',
    'write_checkpoint',
    'write_weights',
]
