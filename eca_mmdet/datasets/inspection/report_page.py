"""Write the report of an inspection as JSON and as a page with sample images, which needs no other files."""

import base64
import json
import os
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import List, Sequence, Union

import cv2
from mmengine.utils import ProgressBar

from ...atomic_write import write_text
from .dataset_report import DatasetReport, class_table
from .sample_images import Sample, draw_samples

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Dataset report</title><style>
body {{ font-family: sans-serif; margin: 2em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }}
td, th {{ border: 1px solid #ccc; padding: 3px 8px; text-align: left; vertical-align: top }}
.error {{ background: #fbd5d5 }} .warning {{ background: #fdf0c8 }}
.samples {{ display: flex; flex-wrap: wrap; gap: 12px }}
figure {{ margin: 0; width: 480px }} figcaption {{ font-size: 85%; overflow-wrap: anywhere }}
img {{ max-width: 100% }}
</style></head><body>
<h1>Dataset report</h1><p><b>{verdict}</b></p>{files}
<h2>Findings</h2>{findings}
<h2>Sample images</h2><p>Images with findings come first, then images of rare classes.</p>
<div class="samples">{samples}</div>
<h2>Objects by class and size</h2>
<p>Small: below 32 x 32 pixels; medium: below 96 x 96; large: all others. Crowds are not counted.</p>{classes}
</body></html>
"""


def check_out(out: Union[str, Path], samples: int = 24) -> None:
    """Check that a report can be written, before a long inspection.

    Args:
        out: The output folder, which is created.
        samples: The number of sample images.

    Raises:
        ValueError: If the library that draws sample images is not installed, or ``samples`` is negative.
        OSError: If the folder cannot be written to.
    """
    if samples < 0:
        raise ValueError(f'--samples is {samples}, but must be at least 0')
    try:
        import supervision  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--out draws sample images with supervision ({error}):\n    pip install 'eca_mmdet[predict]'"
        ) from None
    Path(out).expanduser().mkdir(parents=True, exist_ok=True)
    if not os.access(Path(out).expanduser(), os.W_OK):
        raise PermissionError(f'--out {out} cannot be written to. Name another folder')


def write_report(report: DatasetReport, out: Union[str, Path], samples: int = 24) -> Path:
    """Write ``report.json`` and the page ``index.html``.

    Args:
        report: The result of ``inspect_dataset``.
        out: Output folder.
        samples: The number of sample images.

    Returns:
        The page.
    """
    out = Path(out).expanduser()
    check_out(out, samples)
    write_text(out / 'report.json', json.dumps(report.to_dict(), indent=2) + '\n')
    share = -(-samples // max(1, len(report.sources)))
    progress = ProgressBar(share * len(report.sources))
    figures = []
    for part in report.sources:
        for sample in draw_samples(part, share):
            figures.append(_figure(sample))
            progress.update()
    progress.file.write('\n')
    files = ''.join(
        f'<p>{escape(part.source.name)}: {escape(str(part.source.ann_file))}<br>images: '
        f'{escape(part.source.folder or "not checked")}</p>'
        for part in report.sources
    )
    head, rows = class_table(report)
    page = _PAGE.format(
        verdict=escape(report.verdict()),
        files=files,
        findings=_findings(report),
        samples=''.join(figures),
        classes=_table(head, rows),
    )
    write_text(out / 'index.html', page)
    return out / 'index.html'


def _figure(sample: Sample) -> str:
    _, data = cv2.imencode('.jpg', sample.drawing, [cv2.IMWRITE_JPEG_QUALITY, 85])
    image = base64.b64encode(data.tobytes()).decode()
    findings = ''.join(f'<br><b>{escape(name)}</b>' for name in sample.findings)
    return (
        f'<figure><img alt="" src="data:image/jpeg;base64,{image}">'
        f'<figcaption>{escape(sample.caption)}{findings}</figcaption></figure>\n'
    )


def _findings(report: DatasetReport) -> str:
    rows: List[Sequence[str]] = []
    classes = []
    for name, finding in report.findings():
        rows.append(
            (
                finding.kind.severity,
                name,
                str(finding.count),
                finding.kind.name,
                ', '.join(finding.examples),
                finding.kind.remedy,
            )
        )
        classes.append(finding.kind.severity)
    head = ('severity', 'file', 'count', 'what', 'first', 'what to do')
    return _table(head, rows, classes) if rows else '<p>None.</p>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    def row(cells: Sequence[str], tag: str, name: str = '') -> str:
        inner = ''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)
        return f'<tr class="{name}">{inner}</tr>\n'

    body = ''.join(row(cells, 'td', name) for cells, name in zip_longest(rows, classes, fillvalue=''))
    return f'<table>{row(head, "th")}{body}</table>'
