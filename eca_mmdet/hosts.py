"""The host libraries. Each of them is optional: a run needs only that of its config."""

from typing import Any, Dict, Mapping, NamedTuple

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
    """Import a host library.

    Raises:
        HostError: If it is not installed, or if its import fails.
    """
    if not is_installed(host.scope):
        raise HostError(f'{host.title} is not installed. For {host.task}:\n    {host.install}')
    fault = import_fault(host.scope)
    if fault:
        raise HostError(
            f'{installed(host.scope) or host.title} cannot be imported: {fault}\nInstall a version that '
            f'matches the other packages:\n    {host.install}'
        )
