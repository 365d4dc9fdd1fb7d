"""Measure the time and peak memory of converting a large checkpoint, each conversion in its own process."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

import torch

from eca_mmdet.analysis import table_text
from eca_mmdet.backbones import VARIANTS, ECAResNet
from eca_mmdet.checkpoints import convert, convert_file, write_weights

from .measure import peak_memory, resident_bytes, run_in_own_process

SUFFIXES = ('.pth', '.safetensors')


def benchmark_conversion(network: str = 'ecaresnet269d') -> List[Dict[str, Any]]:
    """Convert random weights in timm's format between all pairs of file suffixes.

    Args:
        network: One of ``VARIANTS``. The file of ``ecaresnet269d`` has 410 MB.

    Returns:
        One record per pair of suffixes: size of the source file, seconds, and peak resident memory
        minus the resident memory before the conversion.
    """
    records = []
    with tempfile.TemporaryDirectory() as folder:
        tensors = convert(ECAResNet(**VARIANTS[network]).state_dict(), target='timm').state_dict
        for source in SUFFIXES:
            write_weights(tensors, {}, Path(folder, f'source{source}'))
        for source in SUFFIXES:
            for target in SUFFIXES:
                paths = dict(
                    src=str(Path(folder, f'source{source}')), dst=str(Path(folder, f'to{source}{target}'))
                )
                measured = run_in_own_process(__name__, paths)
                records.append(dict(network=network, source=source, target=target, **measured))
    return records


def conversion_text(records: List[Dict[str, Any]]) -> str:
    """Format the records as a table."""
    header = ['source and target', 'file', 'time', 'peak memory', 'peak / file']
    rows = []
    for record in records:
        size, peak = record['file_bytes'], record['peak_bytes']
        files = f'{record["source"]} to {record["target"]}'
        seconds = f'{record["seconds"]:.1f} s'
        rows.append([files, f'{size / 1e6:.0f} MB', seconds, f'{peak / 1e6:.0f} MB', f'{peak / size:.2f}'])
    return table_text(header, rows)


def _measure(src: str, dst: str) -> Dict[str, Any]:
    torch.zeros(1).sum()  # initializes torch, which should not be measured
    begin = time.perf_counter()
    peak = peak_memory(lambda: convert_file(src, dst), 'cpu', resident_bytes())
    return dict(file_bytes=Path(src).stat().st_size, seconds=time.perf_counter() - begin, peak_bytes=peak)


if __name__ == '__main__':
    print(json.dumps(_measure(**json.loads(sys.argv[1]))))
