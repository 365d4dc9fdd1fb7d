"""The attentions that can stand at ECA's place in a block, by the names of the paper's comparison."""

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
"""Name to layer config; ``'none'`` is the plain network."""

USE_KERNEL_SIZE = ('ECALayer', 'ECANSLayer')
"""Layer types whose ``kernel_size`` a backbone sets stage by stage."""


def sized_attention(attention: dict, kernel_size: int) -> dict:
    """Give a layer config the stage's kernel size, if its layer has one and it states none."""
    return {'kernel_size': kernel_size, **attention} if attention['type'] in USE_KERNEL_SIZE else attention


def attention_config(attention: Union[str, dict, None]) -> Optional[dict]:
    """Resolve an ``attention`` option to a layer config, or ``None`` for no attention.

    Args:
        attention: A name of ``ATTENTIONS``, the config of a registered layer, or ``None``.

    Raises:
        ValueError: If it is none of these.
    """
    if attention is None or (isinstance(attention, str) and attention in ATTENTIONS):
        config = ATTENTIONS[attention or 'none']
        return config and dict(config)
    if isinstance(attention, dict) and 'type' in attention:
        return dict(attention)
    raise ValueError(
        f'attention={attention!r}: allowed are {", ".join(map(repr, ATTENTIONS))} and the config of a '
        "registered layer, such as dict(type='ECALayer', kernel_size=5)"
    )
