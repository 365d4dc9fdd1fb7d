"""The host libraries. Each of them is optional: a run needs only that of its config."""

from typing import Any, Dict, Mapping, NamedTuple, Tuple

import torch

from .environment import import_fault, installed, is_installed


class HostError(ImportError):
    """Raised if a run needs a host library that is missing or broken."""


class Host(NamedTuple):
    """A library of OpenMMLab whose models, datasets and metrics a config uses.

    Args:
        scope: Its import name, which is also the ``default_scope`` of its configs.
        title: Its name.
        task: What it is for.
        install: The command that installs it.
    """

    scope: str
    title: str
    task: str
    install: str


HOSTS: Dict[str, Host] = {
    host.scope: host
    for host in (
        Host('mmdet', 'MMDetection', 'detection', 'pip install mmdet==3.3.0'),
        Host('mmseg', 'MMSegmentation', 'semantic segmentation', "pip install 'eca_mmdet[seg]'"),
        Host('mmpretrain', 'MMPretrain', 'image classification', "pip install 'eca_mmdet[cls]'"),
    )
}


def host_of(cfg: Mapping[str, Any]) -> Host:
    """Return the host library of a config, by its ``default_scope``. Other scopes count as mmdet's."""
    return HOSTS.get(cfg.get('default_scope') or 'mmdet', HOSTS['mmdet'])


def require_host(host: Host) -> None:
    """Import the models of a host library.

    Raises:
        HostError: If it is not installed, or if its import fails.
    """
    if not is_installed(host.scope):
        raise HostError(f'{host.title} is not installed. For {host.task}:\n    {host.install}')
    fault, remedy = host_fault(host)
    if fault:
        found = installed(host.scope) or host.title
        raise HostError(f'{found} cannot be imported: {fault}\nInstall what it needs:\n    {remedy}')


def host_fault(host: Host) -> Tuple[str, str]:
    """Import the models of an installed host library; return the error and a remedy, or empty strings."""
    if host.scope == 'mmpretrain' and not is_installed('torchvision'):
        return 'it needs torchvision', f'pip install --no-deps {matching_torchvision()}'
    fault = import_fault(f'{host.scope}.models')
    return (fault, host.install) if fault else ('', '')


def matching_torchvision() -> str:
    """Return the torchvision that was released together with the installed torch."""
    major, minor, patch = torch.__version__.split('+')[0].split('.')[:3]
    # torch 2.0 came with torchvision 0.15, and the two have been numbered in step since.
    is_known = major == '2' and minor.isdigit() and patch.isdigit()
    return f'torchvision==0.{int(minor) + 15}.{patch}' if is_known else 'torchvision'
