"""Sort the results of an evaluation into AP of boxes and masks, and all other numbers."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

COLUMNS = {'mAP': 'AP', 'mAP_50': 'AP50', 'mAP_75': 'AP75', 'mAP_s': 'APs', 'mAP_m': 'APm', 'mAP_l': 'APl'}
_AP = re.compile(r'(?:(.*)/)?(bbox|segm)_(mAP\w*)')
_OF_CLASSES = ('_precision', '_PQ')
_NOT_RESULTS = {'step', 'epoch', 'iter', 'time', 'data_time', 'memory'}


@dataclass
class Results:
    """Results of an evaluation.

    Args:
        ap: AP of each kind, such as ``{'bbox': {'AP': 0.4, 'AP50': 0.6}}``. ``None`` if it is not measured.
        others: All other numbers by their name.
        classes: Results of each class that the metrics reported, such as PQ.
    """

    ap: Dict[str, Dict[str, Optional[float]]] = field(default_factory=dict)
    others: Dict[str, Optional[float]] = field(default_factory=dict)
    classes: Dict[str, Dict[str, Optional[float]]] = field(default_factory=dict)

    def flat(self) -> Dict[str, Optional[float]]:
        """Return AP and all other numbers by name, such as ``'bbox AP'``."""
        named = {f'{kind} {name}': value for kind, row in self.ap.items() for name, value in row.items()}
        return {**named, **self.others}


def group_metrics(metrics: Mapping[str, Any]) -> Results:
    """Sort results with mmengine's names, such as ``coco/bbox_mAP_50``."""
    results = Results()
    for name, value in metrics.items():
        if name in _NOT_RESULTS or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        match = _AP.fullmatch(name)
        if match and match[3] in COLUMNS:
            prefix = match[1] if match[1] not in (None, 'coco', match[2]) else ''
            row = results.ap.setdefault(f'{prefix} {match[2]}'.strip(), {})
            row[COLUMNS[match[3]]] = _known(value)
        elif '/' in name and name.endswith(_OF_CLASSES):
            ending = next(ending for ending in _OF_CLASSES if name.endswith(ending))
            label = name.split('/', 1)[1].removesuffix(ending)
            column = 'PQ' if ending == '_PQ' else f'{name.split("/")[0]} AP'
            results.classes.setdefault(label, {})[column] = _known(value)
        else:
            results.others[name] = _known(value) if 'AR' in name or 'mAP' in name else value
    return results


def group_results(content: Mapping[str, Any]) -> Results:
    """Sort the ``results`` of ``results.json``."""
    results = Results()
    for name, row in content.items():
        if not isinstance(row, dict):
            results.others[name] = row
        elif name == 'classes':
            results.classes = row
        elif 'AP' in row or 'AP50' in row:
            results.ap[name] = {key: row.get(key) for key in COLUMNS.values() if key in row}
        else:
            results.others.update({f'{name}/{key}': v for key, v in row.items() if not isinstance(v, dict)})
    return results


def _known(value: float) -> Optional[float]:
    """Replace -1 and NaN, which mean that there is nothing to measure, by ``None``."""
    return None if math.isnan(value) or value < 0 else value
