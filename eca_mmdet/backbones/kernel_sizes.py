"""Convert the option ``eca_kernel_sizes`` to one kernel size per stage."""

from typing import Any, List, Optional, Sequence, Tuple, Union

from ..layers.eca import check_kernel_size, eca_kernel_size

KernelSizes = Union[int, str, Sequence[int], None]

NO_ECA = 'none'
"""Kernel sizes for the conversion of a plain network that must stay plain."""
HAS_ATTENTION = 'the checkpoint already has an attention; remove --eca-kernel-sizes (eca_kernel_sizes)'

_ALLOWED = (
    'allowed are one odd integer for all stages (5), one per stage ((3, 5, 5, 7)), '
    "a string of one digit per stage ('3557') and 'adaptive'"
)


def stage_kernel_sizes(
    sizes: KernelSizes, stage_channels: Sequence[int], default: Optional[Sequence[int]] = None
) -> Tuple[int, ...]:
    """Convert ``eca_kernel_sizes`` to one size per stage.

    Args:
        sizes: One odd integer for all stages, one per stage, a string of digits such as
            ``'3557'``, ``'adaptive'``, or ``None`` for ``default``.
        stage_channels: Output channels of each stage's blocks.
        default: Sizes for ``sizes=None``, at least one per stage.

    Returns:
        One positive odd integer per stage.

    Raises:
        ValueError: If ``sizes`` has another form, an entry is not a positive odd integer, or the
            number of entries differs from the number of stages.
    """
    num_stages = len(stage_channels)
    if sizes is None and default is not None:
        return tuple(default[:num_stages])
    if sizes == 'adaptive':
        return tuple(eca_kernel_size(channels) for channels in stage_channels)
    # `--cfg-options model.backbone.eca_kernel_sizes=3557` passes an integer. No kernel is that
    # large, so it must mean the string form.
    if isinstance(sizes, int) and sizes >= 1000:
        sizes = str(sizes)
    if isinstance(sizes, str):
        if not sizes.isdecimal():
            raise ValueError(f'eca_kernel_sizes={sizes!r}: {_ALLOWED}')
        sizes = [int(digit) for digit in sizes]
    elif isinstance(sizes, int):
        sizes = [sizes] * num_stages
    elif not isinstance(sizes, Sequence):
        raise ValueError(f'eca_kernel_sizes={sizes!r}: {_ALLOWED}')
    if len(sizes) != num_stages:
        raise ValueError(
            f'eca_kernel_sizes has {len(sizes)} entries {tuple(sizes)}, '
            f'the backbone has {num_stages} stages; {_ALLOWED}'
        )
    try:
        return tuple(check_kernel_size(size) for size in sizes)
    except ValueError as error:
        raise ValueError(f'eca_kernel_sizes={tuple(sizes)!r}: {error}; {_ALLOWED}') from None


def grouped_kernel_sizes(
    sizes: KernelSizes, groups: Sequence[int], stage_channels: Sequence[int], default: Sequence[int]
) -> Tuple[int, ...]:
    """Convert ``eca_kernel_sizes`` to one size per stage if groups of stages share a size.

    Args:
        sizes: As in ``stage_kernel_sizes``, or one size per group.
        groups: Index of the group of each stage.
        stage_channels: Output channels of each stage's blocks.
        default: Sizes for ``sizes=None``, one per group.

    Returns:
        One positive odd integer per stage.

    Raises:
        ValueError: If ``sizes`` has another form, or is an integer with one digit per group, which
            could mean one size for all stages or one per group.
    """
    count = len(default)
    sizes = default if sizes is None else sizes
    if isinstance(sizes, int) and 10 ** (count - 1) <= sizes < 10**count:
        raise ValueError(
            f'eca_kernel_sizes={sizes} could mean one size for all stages or one per group. Write '
            f'{(sizes,) * count} or {tuple(map(int, str(sizes)))}'
        )
    if isinstance(sizes, Sequence) and len(sizes) == count:
        chosen: List[Any] = [sizes[group] for group in groups]
        sizes = ''.join(chosen) if all(isinstance(size, str) for size in chosen) else chosen
    try:
        return stage_kernel_sizes(sizes, stage_channels)
    except ValueError as error:
        raise ValueError(f'{error}, and one size per group of stages, such as {tuple(default)}') from None
