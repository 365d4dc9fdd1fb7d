"""The result of an inspection: findings and numbers, as objects, text and JSON."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ...results_file import plain, text_table
from ..fault_report import ERROR, NOTE, SEVERITIES, WARNING, FaultReport, Finding
from .annotation_sources import Source
from .dataset_statistics import SIZES
from .image_files import ImageFacts

_MOST_CLASSES = 100  # in the text; the JSON file has all of them


@dataclass
class SourceReport:
    """What was found in an annotation file and its images.

    Args:
        source: The annotation file.
        faults: The findings.
        content: The content of the file without faulty records. Empty if it cannot be read.
        numbers: The result of ``count_objects``.
        images: The facts of the image files, if they were read.
    """

    source: Source
    faults: FaultReport
    content: Dict[str, Any] = field(default_factory=dict)
    numbers: Dict[str, Any] = field(default_factory=dict)
    images: Sequence[ImageFacts] = ()


@dataclass
class DatasetReport:
    """What was found in a dataset.

    Args:
        sources: The annotation files.
        shared: Findings about train and val together, or about the config.
        skipped: What was not inspected, and why.
    """

    sources: List[SourceReport]
    shared: FaultReport = field(default_factory=lambda: FaultReport(Path('train and val')))
    skipped: List[str] = field(default_factory=list)

    def findings(self) -> Iterator[Tuple[str, Finding]]:
        """Yield the name of each source and its findings, the most serious ones first."""
        groups = [(part.source.name, part.faults) for part in self.sources]
        groups.append(('train and val', self.shared))
        for severity in SEVERITIES:
            for name, faults in groups:
                for finding in faults.of(severity):
                    yield name, finding

    def of(self, severity: str) -> List[Finding]:
        """Return the findings of a severity."""
        return [finding for _, finding in self.findings() if finding.kind.severity == severity]

    @property
    def is_usable(self) -> bool:
        """Whether training works with the dataset."""
        return not self.of(ERROR)

    def to_dict(self) -> Dict[str, Any]:
        """Return the report for JSON."""
        return plain(
            dict(
                is_usable=self.is_usable,
                findings=[dict(source=name, **finding.to_dict()) for name, finding in self.findings()],
                sources=[
                    dict(
                        name=part.source.name,
                        ann_file=str(part.source.ann_file),
                        folder=part.source.folder,
                        images_read=len(part.images),
                        **part.numbers,
                    )
                    for part in self.sources
                ],
                skipped=self.skipped,
            )
        )

    def text(self) -> str:
        """Return numbers and findings as text."""
        parts = [self._numbers(), self._classes(), *self.skipped]
        for name, finding in self.findings():
            remedy = '' if finding.kind.severity == NOTE else f'\n    {finding.kind.remedy}'
            parts.append(f'{finding.kind.severity}: {name}: {finding}{remedy}')
        return '\n'.join([*(part for part in parts if part), self.verdict()])

    def verdict(self) -> str:
        """Return the result in one sentence."""
        errors, warnings = len(self.of(ERROR)), len(self.of(WARNING))
        if errors:
            return f'Not usable: {_kinds(errors, "error")}, {_kinds(warnings, "warning")}.'
        if warnings:
            return f'Usable, with {_kinds(warnings, "warning")}.'
        return 'Usable. No faults found.'

    def _numbers(self) -> str:
        rows = [
            [
                part.source.name,
                *(
                    str(part.numbers[key])
                    for key in ('images', 'objects', 'crowds', 'images_without_objects')
                ),
                '{0[0]} x {0[1]}'.format(part.numbers['smallest_image']),
                '{0[0]} x {0[1]}'.format(part.numbers['largest_image']),
            ]
            for part in self.sources
            if part.numbers
        ]
        head = ['', 'images', 'objects', 'crowds', 'without objects', 'smallest', 'largest']
        return text_table(head, rows) if rows else ''

    def _classes(self) -> str:
        head, rows = class_table(self)
        rest = len(rows) - _MOST_CLASSES
        text = text_table(head, rows[:_MOST_CLASSES]) if rows else ''
        return f'{text}\n... and {rest} more classes' if rest > 0 else text


def _kinds(count: int, of: str) -> str:
    return f'{count} kind{"" if count == 1 else "s"} of {of}s'


def class_table(report: DatasetReport) -> Tuple[List[str], List[List[str]]]:
    """Return head and rows of a table of the objects of each class: in total and by size, for each source."""
    parts = [part for part in report.sources if part.numbers]
    names = dict.fromkeys(name for part in parts for name in part.numbers['classes'])
    head = ['class']
    for part in parts:
        head += [part.source.name, *SIZES]
    rows = []
    for name in names:
        row = [str(name)]
        for part in parts:
            counts = part.numbers['classes'].get(name, dict.fromkeys(SIZES, 0))
            row += [str(sum(counts.values())), *(str(counts[size]) for size in SIZES)]
        rows.append(row)
    return head, rows
