"""Read what mmengine logged in a work directory: scalars, config and results of a run."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

from mmengine.config import Config
from mmengine.logging import print_log

from .evaluation_details import EvaluationDetails, read_evaluation
from .results_by_kind import Results, group_metrics, group_results

Records = List[Dict[str, Any]]


@dataclass
class RunHistory:
    """The history of a run, resumed trainings joined.

    Args:
        name: Name of the run in the report.
        folder: The work directory.
        training: Logged values of the training by name; ``step`` is the iteration.
        validations: Results of the validations; ``step`` is the iteration.
        config: The config of the run; empty if it was not found.
        evaluation: The last evaluation: ``split``, ``iteration``, ``checkpoint`` and ``date``.
        results: Results of the last evaluation.
        details: Details of the last evaluation.
    """

    name: str
    folder: Path
    training: Records = field(default_factory=list)
    validations: Records = field(default_factory=list)
    config: Dict[str, Any] = field(default_factory=dict)
    evaluation: Dict[str, Any] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    details: List[EvaluationDetails] = field(default_factory=list)


def read_runs(work_dirs: Sequence[Union[str, Path]]) -> List[RunHistory]:
    """Read several runs. Runs in folders of the same name are named by their path.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If a folder holds no run, or a file in it is damaged.
    """
    runs = [read_run(path) for path in dict.fromkeys(Path(path).expanduser() for path in work_dirs)]
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            run.name = str(run.folder)
    return runs


def read_run(work_dir: Union[str, Path]) -> RunHistory:
    """Read the run of a work directory.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If it holds no run, or a file in it is damaged.
    """
    folder = Path(work_dir).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder. Name the work directory of a run')
    run = RunHistory(folder.resolve().name, folder)
    _read_training(run)
    _read_results(run)
    if not run.training and not run.evaluation and not run.validations:
        raise ValueError(
            f'{folder} holds no run: neither */vis_data/scalars.json nor results.json is there. '
            'Name the work directory of tools/train.py or tools/test.py'
        )
    return run


def _read_training(run: RunHistory) -> None:
    """Join the trainings of a folder. One that was not resumed replaces those before it."""
    starts = sorted(path for path in run.folder.glob('*/vis_data') if path.is_dir())
    trainings = [path for path in starts if (path / 'scalars.json').is_file()]
    for path in trainings:
        training, validations = _split(_read_lines(path / 'scalars.json'))
        run.config = _read_config(path / 'config.py')
        first = training[0]['step'] if training else float('inf')
        is_continued = bool(run.config.get('resume'))
        kept = [record for record in run.training if is_continued and record['step'] < first]
        run.training = kept + training
        kept = [record for record in run.validations if is_continued and record['step'] < first]
        run.validations = kept + validations
    if not trainings and starts:
        run.config = _read_config(starts[-1] / 'config.py')


def _read_lines(path: Path) -> Records:
    """Read a file with one JSON object per line; an unfinished last line is left out."""
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            print_log(f'{path}: a line cannot be read and is left out', level=logging.WARNING)
    return [record for record in records if isinstance(record, dict) and 'step' in record]


def _split(records: Records) -> tuple:
    """Separate training and validation. A validation counts epochs if the training does."""
    training: Records = []
    validations: Records = []
    for record in records:
        if 'iter' in record:
            training.append(record)
        else:
            reached = training[-1]['step'] if training else 0
            validations.append({**record, 'step': max(reached, record['step'])})
    return training, validations


def _read_config(path: Path) -> Dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return Config.fromfile(str(path), import_custom_modules=False).to_dict()
    except Exception as error:  # a config is Python code, which can raise any error
        print_log(f'{path} cannot be read and is left out: {error}', level=logging.WARNING)
        return {}


def _read_results(run: RunHistory) -> None:
    content = read_evaluation(run.folder)
    if content:
        run.details, run.results = content.pop('details'), group_metrics(content.pop('metrics'))
        run.evaluation = content
        return
    path = run.folder / 'results.json'
    if path.is_file():
        try:
            content = json.loads(path.read_text())
            run.results = group_results(content.pop('results'))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'{path} is damaged ({error}). Evaluate again with tools/test.py') from None
        run.evaluation = dict(split='test', checkpoint=content.get('checkpoint'))
    elif run.validations:
        last = run.validations[-1]
        run.results = group_metrics(last)
        run.evaluation = dict(split='val', iteration=last['step'])
