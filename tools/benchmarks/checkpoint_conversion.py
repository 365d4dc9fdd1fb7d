"""Time and peak memory of converting a large checkpoint file, each in a process of its own."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

import torch

from eca_mmdet.backbones import VARIANTS, ECAResNet
from eca_mmdet.checkpoints import convert, convert_file, write_weights

from .measure import in_own_process, peak_of, resident_bytes

SUFFIXES = ('.pth', '.safetensors')


def benchmark_conversion(network: str = 'ecaresnet269d') -> List[Dict[str, Any]]:
    """Convert a timm file of random weights from and to both kinds of file.

    Args:
        network: One of ``VARIANTS``; ecaresnet269d has 410 MB.

    Returns:
        A record for each pair of suffixes: bytes of the file, seconds, and resident memory above
        that before the call, at its highest.
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
                measured = in_own_process(__name__, paths)
                records.append(dict(network=network, source=source, target=target, **measured))
    return records


def conversion_text(records: List[Dict[str, Any]]) -> str:
    """The records as a table."""
    lines = ['from          to            file      time     peak above the import   peak / file']
    for record in records:
        size, peak = record['file_bytes'], record['peak_bytes']
        files = f'{record["source"]:13} {record["target"]:13} {size / 1e6:4.0f} MB'
        lines.append(
            f'{files}   {record["seconds"]:4.1f} s   {peak / 1e6:14.0f} MB         {peak / size:8.2f}'
        )
    return '\n'.join(lines)


def _measure(src: str, dst: str) -> Dict[str, Any]:
    torch.zeros(1).sum()  # torch's own start
    begin = time.perf_counter()
    peak = peak_of(lambda: convert_file(src, dst), 'cpu', resident_bytes())
    return dict(file_bytes=Path(src).stat().st_size, seconds=time.perf_counter() - begin, peak_bytes=peak)


if __name__ == '__main__':
    print(json.dumps(_measure(**json.loads(sys.argv[1]))))
