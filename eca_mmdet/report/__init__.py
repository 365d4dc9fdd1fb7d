"""The report of runs: one HTML page with curves, results, confusion matrices and images.

``page.write_report`` writes it. This module imports neither matplotlib nor jinja2, so metrics can use it.
"""

from .evaluation_details import (
    Confusion,
    Curves,
    EvaluationDetails,
    Example,
    encode_picture,
    read_evaluation,
    write_evaluation,
)
from .run_history import RunHistory, read_run, read_runs

__all__ = [
    'Confusion',
    'Curves',
    'EvaluationDetails',
    'Example',
    'RunHistory',
    'encode_picture',
    'read_evaluation',
    'read_run',
    'read_runs',
    'write_evaluation',
]
