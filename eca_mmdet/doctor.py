"""Check whether this machine can run the project, and suggest a command for each fault."""

import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import List

from .environment import Fact, installed, operators_remedy, stack_facts, tool

MIN_FREE_GB = 5  # a training of 12 epochs saves 12 checkpoints of about 350 MB
DATA = {
    'data/coco': ('annotations/instances_val2017.json', 'ln -s /path/to/coco data/coco'),
    'data/nuclei': ('annotations/val.json', f'{tool("nuclei_to_coco.py")} stage1_train data/nuclei'),
    'data/shapes': ('annotations/instances_val2017.json', f'{tool("make_shapes.py")} data/shapes'),
}
"""For each data folder, a file that it must contain and a command that creates it."""


def doctor_facts(root: Path = Path('.')) -> List[Fact]:
    """Check Python, the required packages, CUDA, the cache folder, the free disk space and the datasets.

    Args:
        root: Folder that contains ``data/``.
    """
    facts = [Fact('Python', platform.python_version())]
    facts += stack_facts()
    if not any(fact.remedy for fact in facts):
        facts += _cuda_facts()
        facts += _host_facts()
    facts += [_cache_fact(), _disk_fact(root)]
    for folder, (file, remedy) in DATA.items():
        if (root / folder / file).is_file():
            facts.append(Fact(folder, 'found'))
        else:
            facts.append(Fact(folder, 'not found, only needed by its configs', remedy, optional=True))
    return facts


def _host_facts() -> List[Fact]:
    """Check the host libraries; those that are not installed are no fault."""
    from .hosts import HOSTS, host_fault, is_installed
    from .torchvision_operators import declare_missing_operators

    facts = []
    if is_installed('mmpretrain') and declare_missing_operators():
        found = f'{installed("torchvision")} without its operators, which no config of this project needs'
        facts.append(Fact('torchvision', found))
    for host in HOSTS.values():
        if not is_installed(host.scope):
            found = f'not installed, only needed for {host.task}'
            facts.append(Fact(host.title, found, host.install, optional=True))
        elif host.scope != 'mmdet':  # stack_facts has checked it
            fault, remedy = host_fault(host)
            found = installed(host.scope)
            facts.append(Fact(host.title, f'{found}: {fault}' if fault else found, remedy))
    return facts


def _cuda_facts() -> List[Fact]:
    import torch
    from mmcv.ops import get_compiling_cuda_version

    if not torch.cuda.is_available():
        return [Fact('CUDA', 'no GPU found, everything runs on the CPU')]
    facts = []
    supported = torch.cuda.get_arch_list()
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        name = torch.cuda.get_device_name(index)
        found = f'{name}, compute capability {major}.{minor}, torch for CUDA {torch.version.cuda}'
        is_supported = any(arch.startswith(f'sm_{major}') for arch in supported)
        remedy = f'install torch for sm_{major}{minor}, this one supports {supported}'
        facts.append(Fact(f'GPU {index}', found, '' if is_supported else remedy))
    compiled = get_compiling_cuda_version()
    remedy = operators_remedy().replace('MMCV_WITH_OPS', 'FORCE_CUDA=1 MMCV_WITH_OPS')
    found = f'compiled with CUDA {compiled}'
    facts.append(Fact("mmcv's CUDA operators", found, remedy if compiled == 'not available' else ''))
    return facts


def _cache_fact() -> Fact:
    """Check that the cache folder, where torch stores downloads and compiled code, is writable."""
    base = os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache'))
    cache = Path(os.environ.get('TORCH_HOME', os.path.join(base, 'torch')))
    folder = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Fact('cache', f'{cache} is writable')
    except OSError as error:
        return Fact('cache', f'{cache}: {error.strerror}', 'export TORCH_HOME=/a/folder/you/can/write')


def _disk_fact(root: Path) -> Fact:
    free = shutil.disk_usage(root).free / 1e9
    remedy = (
        f'free {MIN_FREE_GB - free:.1f} GB, or use --work-dir on another disk' if free < MIN_FREE_GB else ''
    )
    return Fact('free disk', f'{free:.1f} GB', remedy)


def doctor_table(facts: List[Fact]) -> str:
    """Format the facts as a text table, with a remedy below each fault.

    This uses only Python's standard library, because a broken environment may have no table library.
    """
    width = max(len(fact.name) for fact in facts)
    lines = []
    for fact in facts:
        state = 'ok' if not fact.remedy else 'none' if fact.optional else 'FAULT'
        lines.append(f'{state:5}  {fact.name:{width}}  {fact.found}')
        if fact.remedy:
            lines.append(f'{"":5}  {"":{width}}  -> {fact.remedy}')
    return '\n'.join(lines)
