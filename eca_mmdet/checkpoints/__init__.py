"""Pure conversions of checkpoint formats, and the one place that reads and writes files."""

from .convert import convert_file
from .io import allow_training_state, read_checkpoint, write_checkpoint
from .official import convert_official

__all__ = [
    'allow_training_state',
    'convert_file',
    'convert_official',
    'read_checkpoint',
    'write_checkpoint',
]
