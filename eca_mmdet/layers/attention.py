"""Attention layers that a block can use in place of ECA, by name."""

from typing import Optional, Union

ATTENTIONS = {
    'none': None,
    'se': dict(type='SELayer'),
    'se_var1': dict(type='SEVar1Layer'),
    'se_var2': dict(type='SEVar2Layer'),
    'se_var3': dict(type='SEVar3Layer'),
    'se_gc2': dict(type='SEGCLayer', groups=2),
    'se_gc4': dict(type='SEGCLayer', groups=4),
    'se_gc8': dict(type='SEGCLayer', groups=8),
    'se_gc16': dict(type='SEGCLayer', groups=16),
    'eca_ns': dict(type='ECANSLayer'),
    'eca': dict(type='ECALayer'),
    'cbam': dict(type='CBAMLayer'),
    'triplet': dict(type='TripletLayer'),
}
"""Layer config by name; ``'none'`` builds the network without attention."""

USE_KERNEL_SIZE = ('ECALayer', 'ECANSLayer')
"""Layer types with a ``kernel_size`` that a backbone sets for each stage."""


def sized_attention(attention: dict, kernel_size: int) -> dict:
    """Add the kernel size of a stage to a layer config, unless it sets one or its layer has none."""
    return {'kernel_size': kernel_size, **attention} if attention['type'] in USE_KERNEL_SIZE else attention


def attention_config(attention: Union[str, dict, None]) -> Optional[dict]:
    """Return the layer config for an ``attention`` option, or ``None`` for no attention.

    Args:
        attention: A name of ``ATTENTIONS``, the config of a registered layer, or ``None``.

    Raises:
        ValueError: If ``attention`` is none of these.
    """
    if attention is None or (isinstance(attention, str) and attention in ATTENTIONS):
        config = ATTENTIONS[attention or 'none']
        return None if config is None else dict(config)
    if isinstance(attention, dict) and 'type' in attention:
        return dict(attention)
    raise ValueError(
        f'attention={attention!r} is not supported; allowed are {", ".join(map(repr, ATTENTIONS))}, and the '
        "config of a registered layer, such as dict(type='ECALayer', kernel_size=5)"
    )
