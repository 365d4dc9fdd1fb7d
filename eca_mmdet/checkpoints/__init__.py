"""Pure conversions of checkpoint formats, and the one place that reads and writes files."""

from .convert import convert_file
from .io import allow_training_state, read_checkpoint, write_checkpoint
from .mobilenet import convert_official_mobilenet, recognise_official_mobilenet, to_official_mobilenet
from .official import convert_official

__all__ = [
    'allow_training_state',
    'convert_file',
    'convert_official',
    'convert_official_mobilenet',
    'read_checkpoint',
    'recognise_official_mobilenet',
    'to_official_mobilenet',
    'write_checkpoint',
]
