"""Check the installed packages that ``eca_mmdet`` needs.

``import eca_mmdet`` raises an error with the first fault. ``tools/doctor.py`` prints all results as a table.
"""

import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import List, NamedTuple, Sequence

SETUP = 'make setup (or the steps under "Installation" in README.md)'
TRANSFORMERS = (
    'pip uninstall transformers. mmengine registers its Adafactor under the name of that of torch. This '
    'project does not need transformers'
)
OLDEST_TORCH = (2, 6)  # the first version whose torch.load does not run code by default
DISTRIBUTIONS = {
    'torch': ('torch',),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmseg': ('mmsegmentation', 'onedl-mmsegmentation'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
    'pycocotools': ('pycocotools',),
    'safetensors': ('safetensors',),
}
"""Maps import names to the distributions that provide them."""


def tool(name: str) -> str:
    """Return the command that runs a tool of the project, in the repository or in the installed package."""
    if Path('tools', name).is_file():
        return f'python tools/{name}'
    return f'python {Path(__file__).parent / ".mim" / "tools" / name}'


class MissingPackageError(ImportError):
    """Raised if a feature needs an optional package that is not installed."""


def require_packages(names: Sequence[str], purpose: str, install: str) -> None:
    """Check that optional packages are installed.

    Args:
        names: Their import names.
        purpose: What needs them, such as ``'exported models'``.
        install: The command that installs them.

    Raises:
        MissingPackageError: If one is missing.
    """
    missing = [name for name in names if not is_installed(name)]
    if missing:
        raise MissingPackageError(f'{purpose} need {" and ".join(missing)}:\n    {install}')


class Fact(NamedTuple):
    """One result of a check."""

    name: str
    found: str
    remedy: str = ''  # empty if there is no fault
    optional: bool = False  # whether the project can be used without it


def installed(module: str) -> str:
    """Return the distribution and version that provide a module, or an empty string."""
    for name in DISTRIBUTIONS.get(module, (module,)):
        try:
            return f'{name} {importlib.metadata.version(name)}'
        except importlib.metadata.PackageNotFoundError:
            continue
    return ''


def operators_remedy() -> str:
    """Return the command that compiles the operators of the installed version of mmcv."""
    package = installed('mmcv').replace(' ', '==').replace('mmcv-lite', 'mmcv') or 'mmcv==2.1.0'
    return (
        'compile mmcv with its operators against the installed torch: MMCV_WITH_OPS=1 pip install '
        f'--no-build-isolation --no-cache-dir --force-reinstall --no-deps {package}'
    )


def is_installed(module: str) -> bool:
    """Whether a top-level module is installed. It is not imported."""
    return importlib.util.find_spec(module) is not None


def import_fault(module: str) -> str:
    """Import a module. Return the first line of its error, or an empty string."""
    try:
        found = importlib.import_module(module)
        if module == 'mmengine':
            importlib.import_module('mmengine.runner')  # mmengine alone imports little
        if module == 'torch' and tuple(map(int, found.__version__.split('.')[:2])) < OLDEST_TORCH:
            return 'older than 2.6, torch.load may run code from checkpoints'
    except Exception as error:  # broken packages raise any error: AssertionError, OSError, ...
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return ''


def stack_facts() -> List[Fact]:
    """Check torch, mmengine, mmcv with its operators, pycocotools, safetensors and mmdet if it is installed.

    Checks stop at the first fault, because later packages depend on earlier ones.
    """
    facts = []
    for module, remedy in (
        ('torch', SETUP),
        ('mmengine', SETUP + '. mmengine needs pkg_resources from setuptools<80'),
        ('mmcv', SETUP),
        ('mmcv._ext', operators_remedy()),
        ('pycocotools', SETUP),
        ('safetensors', 'pip install safetensors'),
        ('mmdet', 'install a tested combination: ' + SETUP),
    ):
        if module == 'mmdet' and not is_installed(module):
            break  # doctor.py lists the host libraries
        name = "mmcv's compiled operators" if module == 'mmcv._ext' else module
        found = installed(module) or ('mmcv._ext' if module == 'mmcv._ext' else 'not installed')
        fault = import_fault(module)
        if 'Adafactor' in fault:
            remedy = TRANSFORMERS
        facts.append(Fact(name, f'{found}: {fault}' if fault else found, remedy if fault else ''))
        if fault:
            break
    return facts


def require_stack() -> None:
    """Raise an ``ImportError`` that names the fault, the installed packages and the remedy.

    Raises:
        ImportError: If a package is missing or broken.
    """
    facts = stack_facts()
    wrong = [fact for fact in facts if fact.remedy]
    if wrong:
        present = ', '.join(filter(None, map(installed, DISTRIBUTIONS))) or 'none of the required packages'
        raise ImportError(
            f'eca_mmdet cannot run: {wrong[0].name}: {wrong[0].found}\n'
            f'  installed: {present}\n'
            f'  to do:     {wrong[0].remedy}'
        )
