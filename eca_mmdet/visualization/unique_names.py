"""Unique file names for the visualizations of test images."""

import os
from collections import defaultdict
from pathlib import PurePath
from typing import Any, Dict, Iterable


def unique_names(paths: Iterable[str]) -> Dict[str, str]:
    """Map each path to a unique relative file name.

    The name is the last part of the path. If several paths share it, their differing folders are kept.

    Args:
        paths: Image files, local or remote.

    Returns:
        The file name of each path, in the order of ``paths``.
    """
    paths = list(dict.fromkeys(paths))
    same_name = defaultdict(list)
    for path in paths:
        same_name[os.path.basename(path)].append(path)
    # Absolute paths contain no `..`, so that every name stays inside the output folder.
    parts = {path: PurePath(os.path.abspath(path)).parts for path in paths}
    names = {}
    for path in paths:
        group = [parts[other] for other in same_name[os.path.basename(path)]]
        shared = len(os.path.commonprefix(group)) if len(set(group)) > 1 else len(parts[path]) - 1
        names[path] = str(PurePath(*parts[path][shared:]))
    return names


def dataset_file_names(dataset: Any) -> Dict[str, str]:
    """Map the path of each image of a dataset to a unique file name; empty for a dataset without files."""
    if not hasattr(dataset, 'get_data_info'):
        return {}
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return unique_names(info['img_path'] for info in infos if info.get('img_path'))
