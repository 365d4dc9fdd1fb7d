"""What this package needs to run, and what is installed.

The same facts serve two readers: importing ``eca_mmdet`` fails with one message
when one of them is wrong, and ``tools/doctor.py`` prints them as a table.
"""

import importlib
import importlib.metadata
from pathlib import Path
from typing import List, NamedTuple

SETUP = 'make setup (or the steps under "Installation" in README.md)'
OLDEST_TORCH = (2, 6)  # where torch.load began to refuse what could run code
DISTRIBUTIONS = {
    'torch': ('torch',),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'pycocotools': ('pycocotools',),
    'safetensors': ('safetensors',),
}
"""Import name to the distributions on the registry that provide it."""


def tool(name: str) -> str:
    """How to call one of the project's tools from here: by its place in the repository or wheel."""
    if Path('tools', name).is_file():
        return f'python tools/{name}'
    return f'python {Path(__file__).parent / ".mim" / "tools" / name}'


class Fact(NamedTuple):
    """One line of the check: what it is about, what was found, how to mend it."""

    name: str
    found: str
    remedy: str = ''  # empty where nothing is wrong
    optional: bool = False  # whether the project does without it


def installed(module: str) -> str:
    """Distribution and version that provide ``module``, or an empty string."""
    for name in DISTRIBUTIONS.get(module, (module,)):
        try:
            return f'{name} {importlib.metadata.version(name)}'
        except importlib.metadata.PackageNotFoundError:
            continue
    return ''


def operators_remedy() -> str:
    """The command that compiles the operators of the mmcv that is installed."""
    package = installed('mmcv').replace(' ', '==').replace('mmcv-lite', 'mmcv') or 'mmcv==2.1.0'
    return (
        'reinstall mmcv with its operators against the installed torch: MMCV_WITH_OPS=1 pip install '
        f'--no-build-isolation --no-cache-dir --force-reinstall --no-deps {package}'
    )


def _import_fault(module: str) -> str:
    """Import ``module``; return the first line of what went wrong, or ''."""
    try:
        found = importlib.import_module(module)
        if module == 'torch' and tuple(map(int, found.__version__.split('.')[:2])) < OLDEST_TORCH:
            return 'older than 2.6, whose torch.load runs code from checkpoints'
    except Exception as error:  # a broken stack fails in its own ways: AssertionError, OSError, ...
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return ''


def stack_facts() -> List[Fact]:
    """Check torch, mmengine, mmcv with its operators, mmdet, pycocotools and safetensors.

    Checks stop at the first fault, since what follows would only repeat it.
    """
    facts = []
    for module, remedy in (
        ('torch', SETUP),
        ('mmengine', SETUP + '; mmengine needs pkg_resources, that is setuptools<80'),
        ('mmcv', SETUP),
        ('mmcv._ext', operators_remedy()),
        ('mmdet', 'install a combination that works: ' + SETUP),
        ('pycocotools', SETUP),
        ('safetensors', 'pip install safetensors'),
    ):
        name = "mmcv's compiled operators" if module == 'mmcv._ext' else module
        found = installed(module) or ('mmcv._ext' if module == 'mmcv._ext' else 'not installed')
        fault = _import_fault(module)
        facts.append(Fact(name, f'{found}: {fault}' if fault else found, remedy if fault else ''))
        if fault:
            break
    return facts


def require_stack() -> None:
    """Raise one ``ImportError`` that names what is installed and what to run."""
    facts = stack_facts()
    wrong = [fact for fact in facts if fact.remedy]
    if wrong:
        present = ', '.join(filter(None, map(installed, DISTRIBUTIONS))) or 'none of its needs'
        raise ImportError(
            f'eca_mmdet cannot run: {wrong[0].name}: {wrong[0].found}\n'
            f'  installed: {present}\n'
            f'  to do:     {wrong[0].remedy}'
        )
