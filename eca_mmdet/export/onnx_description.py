"""What an exported file says about itself: task, classes and preparation of images, as JSON.

The file may come from elsewhere. Everything that is read from it is checked.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from .image_preparation import INTERPOLATIONS, RESIZERS, Preparation

KEY = 'eca_mmdet'
"""The entry of the file's metadata."""
VERSION = 1
TASKS = ('detection', 'instance segmentation', 'semantic segmentation', 'classification')
_LARGEST_SIDE, _MOST_CLASSES, _LONGEST = 16384, 100_000, 10_000_000


@dataclass(frozen=True)
class Description:
    """What a program needs to know to use an exported model.

    Args:
        task: One of ``TASKS``.
        classes: Names of the classes.
        preparation: How an image becomes the input.
        mask_threshold: Pixels with at least this value belong to a mask of an instance.
        config: Name of the config, for people.
    """

    task: str
    classes: Tuple[str, ...]
    preparation: Preparation
    mask_threshold: float = 0.5
    config: str = ''

    def to_json(self) -> str:
        """Return the text for the metadata of the file."""
        return json.dumps(dict(version=VERSION, **asdict(self)))


def read_description(metadata: Mapping[str, str]) -> Description:
    """Read the description of a file.

    Args:
        metadata: The metadata of the file.

    Raises:
        ValueError: If there is none, or something in it is not allowed.
    """
    text = metadata.get(KEY)
    if text is None:
        raise ValueError('it was not written by tools/export.py: its metadata has no entry eca_mmdet')
    if len(text) > _LONGEST:
        raise ValueError(f'its description has {len(text)} characters. Allowed are {_LONGEST}')
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('its description is not JSON') from None
    if not isinstance(content, dict) or content.get('version') != VERSION:
        raise ValueError(f'its description is not of version {VERSION}. Export the model again')
    classes, preparation = content.get('classes'), content.get('preparation')
    if content.get('task') not in TASKS:
        raise ValueError(f'its task is {content.get("task")!r:.80}. Allowed are {", ".join(TASKS)}')
    if not isinstance(classes, list) or not 0 < len(classes) <= _MOST_CLASSES:
        raise ValueError('its classes are not a list of names')
    if not all(isinstance(name, str) and len(name) <= 1000 for name in classes):
        raise ValueError('its classes are not a list of names')
    if not isinstance(preparation, dict):
        raise ValueError('it does not say how images are prepared')
    threshold = _number('mask_threshold', content.get('mask_threshold'), 0, 1)
    config = content.get('config')
    config = config if isinstance(config, str) else ''
    return Description(content['task'], tuple(classes), _read_preparation(preparation), threshold, config)


def _read_preparation(found: Dict[str, Any]) -> Preparation:
    expected = set(asdict(Preparation()))
    if set(found) != expected:
        raise ValueError(f'its preparation has the entries {sorted(found)!s:.200}, not {sorted(expected)}')
    for name, allowed in (('interpolation', INTERPOLATIONS), ('resizer', RESIZERS)):
        if found[name] not in allowed:
            raise ValueError(f'its {name} is {found[name]!r:.80}. Allowed are {", ".join(allowed)}')
    for name in ('keep_ratio', 'is_rgb'):
        if not isinstance(found[name], bool):
            raise ValueError(f'its {name} is {found[name]!r:.80}, not true or false')
    short_edge = found['short_edge']
    return Preparation(
        size=_size('size', found['size']),
        keep_ratio=found['keep_ratio'],
        short_edge=None if short_edge is None else _side('short_edge', short_edge),
        interpolation=found['interpolation'],
        resizer=found['resizer'],
        crop=_size('crop', found['crop']),
        is_rgb=found['is_rgb'],
        mean=_channels('mean', found['mean'], -1e6),
        std=_channels('std', found['std'], 1e-6),
        pad_divisor=_side('pad_divisor', found['pad_divisor']),
        pad_size=_size('pad_size', found['pad_size']),
        pad_value=_number('pad_value', found['pad_value'], -1e6, 1e6),
    )


def _channels(name: str, value: Any, lowest: float) -> Tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f'its {name} is {value!r:.80}, not three numbers')
    return tuple(_number(name, item, lowest, 1e6) for item in value)


def _size(name: str, value: Any) -> Optional[Tuple[int, int]]:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f'its {name} is {value!r:.80}, not two sides in pixels')
    return _side(name, value[0]), _side(name, value[1])


def _side(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_SIDE:
        raise ValueError(f'its {name} is {value!r:.80}. Allowed are 1 to {_LARGEST_SIDE} pixels')
    return value


def _number(name: str, value: Any, lowest: float, highest: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not lowest <= value <= highest:
        raise ValueError(f'its {name} is {value!r:.80}. Allowed are numbers from {lowest:g} to {highest:g}')
    return float(value)
