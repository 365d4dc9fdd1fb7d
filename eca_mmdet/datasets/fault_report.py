"""Collect the faults of a dataset: what is wrong, how serious it is, and which records are affected.

Training and ``tools/check_dataset.py`` use the same faults, so that a fault has one name everywhere.
"""

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

ERROR, WARNING, NOTE = SEVERITIES = ('error', 'warning', 'note')
"""An error stops training or lets it learn something wrong. A warning is likely a mistake in the data. A note
is no fault."""
_EXAMPLES = 5
REMEDIES = {
    'area': 'set annotation["area"] to w * h or to the area of the mask',
    'iscrowd': 'set annotation["iscrowd"] to 0, or to 1 for a region with many objects',
    'segmentation': 'write polygons of three points or more, or run lengths of the size of the image; '
    'detectors without a mask head need no masks',
    'id': 'give every record a unique number',
    'bbox': 'write annotation["bbox"] as [x, y, width, height] in pixels',
    'image_id': 'set annotation["image_id"] to the id of an image',
    'category_id': 'set annotation["category_id"] to the id of a category',
    'file_name': 'set image["file_name"] to the path of the file inside the image folder',
    'height': 'set image["height"] and image["width"] to the size in pixels',
    'width': 'set image["height"] and image["width"] to the size in pixels',
    'name': 'set category["name"]',
}
"""What to do about the faults of a field."""


_FIELD = re.compile(r'(?:without|whose|duplicate) ([a-z_]+?)s?\b')


class Kind(NamedTuple):
    """A kind of fault.

    Args:
        name: What is wrong, such as ``'images whose file is empty'``.
        severity: ``'error'``, ``'warning'`` or ``'note'``.
        remedy: What to do.
    """

    name: str
    severity: str = ERROR
    remedy: str = ''


class DataFault(ValueError):
    """A fault that stops a run.

    Args:
        kind: The name of the fault.
        message: What was found and what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Finding:
    """A kind of fault and the records that have it."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.count, self.records = kind, 0, []  # type: Kind, int, List[Any]

    @property
    def examples(self) -> List[str]:
        """The first records, in words."""
        return [_label(record) for record in self.records]

    def __str__(self) -> str:
        return f'{self.kind.name}: {self.count}, first {_label(self.records[0])}'

    def to_dict(self) -> Dict[str, Any]:
        """Return the finding for JSON."""
        return dict(
            kind=self.kind.name,
            severity=self.kind.severity,
            count=self.count,
            examples=self.examples,
            remedy=self.kind.remedy,
        )


class FaultReport:
    """Count the faults of a file by kind, and keep the first records of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: Dict[str, Finding] = {}
        self._seen: Dict[str, set] = {}

    def add(self, kind: str | Kind, record: Any) -> None:
        """Count a fault of a record, or of a file that is named by a text.

        Args:
            kind: The kind of fault. A text is the name of an error whose remedy is that of its field.
            record: What is faulty. The same record is counted once.
        """
        if isinstance(kind, str):
            kind = Kind(kind, remedy='; '.join(text for _, text in _remedies([kind])))
        finding = self.findings.setdefault(kind.name, Finding(kind))
        seen = self._seen.setdefault(kind.name, set())
        key = record if isinstance(record, str) else id(record)
        if key in seen:
            return
        seen.add(key)
        finding.count += 1
        if len(finding.records) < _EXAMPLES:
            finding.records.append(record)

    def add_all(self, kind: Kind, records: Iterable[Any]) -> None:
        """Count a fault of several records."""
        for record in records:
            self.add(kind, record)

    def of(self, severity: str) -> List[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.findings.values() if finding.kind.severity == severity]

    def without_errors(self, records: List[Any]) -> List[Any]:
        """Return the records without an error, so that the others can be checked further."""
        wrong = set().union(*(self._seen[finding.kind.name] for finding in self.of(ERROR)))
        return [record for record in records if id(record) not in wrong]

    def raise_if_any(self) -> None:
        """Raise a single ``DataFault`` that lists all errors."""
        errors = self.of(ERROR)
        if not errors:
            return
        lines = [f'    {finding}' for finding in errors]
        remedies = [f'    {field}: {text}' for field, text in _remedies([f.kind.name for f in errors])]
        known = {text for _, text in _remedies([f.kind.name for f in errors])}
        remedies += [f'    {f.kind.remedy}' for f in errors if f.kind.remedy and f.kind.remedy not in known]
        raise DataFault(
            errors[0].kind.name,
            '\n'.join([f'{self.path} has faulty records:', *lines, 'Correct the file.', *remedies]),
        )

    def warnings(self) -> Optional[str]:
        """Describe all warnings, or return ``None``."""
        lines = [f'    {finding} ({finding.kind.remedy})' for finding in self.of(WARNING)]
        return '\n'.join([f'{self.path} has records that look wrong:', *lines]) if lines else None


def _remedies(names: List[str]) -> List[Tuple[str, str]]:
    """Return field and remedy for all fields that the names of faults mention."""
    fields = {field for name in names for field in _FIELD.findall(name)}
    return [(field, remedy) for field, remedy in REMEDIES.items() if field in fields]


def _label(record: Any) -> str:
    """Describe a record by its id, or by its content if it has no id."""
    if isinstance(record, str):
        return record
    if isinstance(record, dict) and 'id' in record:
        return f'id {record["id"]!r}'
    text = json.dumps(record, default=str)
    return text if len(text) < 80 else text[:77] + '...'
