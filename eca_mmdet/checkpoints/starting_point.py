"""Check that a checkpoint fills enough of a model for a run to use it."""

import re

from ..backbones.family import is_plain_layer, split_block_name
from .detector_conversion import recognise_detector
from .effect import COUNTER, Effect, LoadedWeightsError, group_names
from .find_weights import Found
from .formats import recognise

AS_BACKBONE = (
    '\n  to start from it as the backbone:\n'
    '      --cfg-options load_from=None model.backbone.init_cfg._delete_=True '
    'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint={path}'
)
_BACKBONE = re.compile(r'(?:.+\.)?backbone\.')
_HEAD_LAYER = re.compile(r'((?:.+\.)?(?:shared_|cls_|reg_)?(?:convs|fcs))\.\d+\..+')


def require_whole(effect: Effect, path: object) -> None:
    """Refuse a checkpoint that does not fill the whole model.

    Raises:
        LoadedWeightsError: If a tensor is missing or has another shape, or if the file belongs to
            another network (see ``require_same_network``).
    """
    require_same_network(effect, path, with_heads=True)
    missing = [name for name in effect.initial if COUNTER not in name]
    if not missing:
        return
    shapes = effect.shape_mismatches
    raise LoadedWeightsError(
        f'{path} does not fit the config: {len(missing) - len(shapes)} of {effect.size} tensors missing '
        f'{[name for name in missing if name not in effect.tensors][:3]}, {len(shapes)} of another shape '
        f'{shapes[:3]}. Use the config that belongs to the checkpoint. A backbone alone is not enough'
    )


def require_start(effect: Effect, path: object) -> str:
    """Refuse to start training from a checkpoint that does not fill the backbone.

    Layers that a plain ResNet does not have may keep their initial values, and so may the parts after
    the backbone.

    Returns:
        A sentence that names the parts with initial values; empty if there are none.

    Raises:
        LoadedWeightsError: If the file fills nothing or only a part of the backbone, or if it
            belongs to another network (see ``require_same_network``).
    """
    if not effect.num_loaded:
        raise LoadedWeightsError(
            f'{path} fills none of the {effect.size} tensors of the model; {_suggest_fix(effect, path)}'
        )
    require_backbone(effect, path)
    initial = [name for name in effect.initial if COUNTER not in name]
    if not initial:
        return ''
    parts = ', '.join(group_names(initial, [*effect.expected, *effect.initial]))
    shapes = (
        f' (shape mismatches: {"; ".join(effect.shape_mismatches[:3])})' if effect.shape_mismatches else ''
    )
    return f'These parts are not filled by {path} and start from their initial values: {parts}{shapes}.'


def require_backbone(effect: Effect, path: object, is_backbone: bool = False) -> None:
    """Refuse a checkpoint that fills only a part of the backbone.

    Args:
        effect: The effect of loading the checkpoint.
        path: The checkpoint, for the message.
        is_backbone: Whether the model is the backbone itself. Otherwise it is a model with a ``backbone``.

    Raises:
        LoadedWeightsError: If a layer of the plain network is missing, if the attention is filled only
            in some blocks, or if the file belongs to another network (see ``require_same_network``).
    """
    require_same_network(effect, path)
    inside = '' if is_backbone else _BACKBONE
    filled = {_layer(name) for name in effect.expected if re.match(inside, name)}
    initial = [
        name for name in effect.initial if re.match(inside, name) and not _may_stay_initial(name, filled)
    ]
    if not initial:
        return
    total = sum(bool(re.match(inside, name)) for name in (*effect.expected, *effect.initial))
    raise LoadedWeightsError(
        f'{path} does not fill the backbone: {len(initial)} of its {total} tensors would start from random '
        f'values {initial[:3]}, with shape mismatches {effect.shape_mismatches[:3]}; '
        + ('use a checkpoint of this whole network' if is_backbone else _suggest_fix(effect, path))
    )


def require_same_network(effect: Effect, path: object, with_heads: bool = False) -> None:
    """Refuse a checkpoint with more blocks or layers in its stages than the model has.

    Such a file may fill the whole model: a ResNet-34 has every tensor of a ResNet-18. The model would
    still give wrong results, because the remaining layers are missing.

    Args:
        effect: The effect of loading the checkpoint.
        path: The checkpoint, for the message.
        with_heads: Whether to compare the layers of the heads, too.

    Raises:
        LoadedWeightsError: If a stage in the file has tensors that the model does not have.
    """
    own = {*effect.expected, *effect.initial}
    stages = {_stage(name, with_heads) for name in own} - {''}
    rest = [
        name
        for name in effect.unused
        if _stage(name, with_heads) in stages and name not in own and COUNTER not in name
    ]
    if rest:
        raise LoadedWeightsError(
            f'{path} is of another network: its stages have {len(rest)} tensors that the model does not '
            f'have {rest[:3]}. Use a model with the depth, attention and heads of the checkpoint'
        )


def _stage(name: str, with_heads: bool) -> str:
    """Return the stage or list of layers with a tensor, such as ``backbone.layer1``; '' if there is none."""
    part = split_block_name(name)
    if part:
        return part.prefix + part.block.rpartition('.')[0]
    match = _HEAD_LAYER.fullmatch(name) if with_heads else None
    return match[1] if match else ''


def _layer(name: str) -> str:
    """Return the layer of a block with a tensor, such as ``eca``; '' for tensors outside of blocks."""
    part = split_block_name(name)
    return part.layer if part else ''


def _may_stay_initial(name: str, filled: set) -> bool:
    """Whether a tensor may keep its initial values.

    This holds for batch counters, deformable offsets and an attention that the file has in no block.
    """
    layer = _layer(name)
    if COUNTER in name or 'offset' in name:
        return True
    return bool(layer) and not is_plain_layer(layer) and layer not in filled


def _suggest_fix(effect: Effect, path: object) -> str:
    """Say what the file seems to be and how to use it."""
    tensors = effect.tensors
    if recognise_detector(tensors):
        return 'it is a detector with another backbone. Use the config that it was trained with'
    try:
        entry = recognise(Found(dict(tensors), {name: name for name in tensors}))
    except ValueError:
        return f'its names are like {sorted(tensors)[:3]}. Use the config that belongs to it'
    if entry.has_own_names:
        return f'it is a backbone alone (format {entry.name})' + AS_BACKBONE.format(path=path)
    return (
        f"it is a network under another library's names (format {entry.name}): convert it with\n"
        f'      python tools/convert_weights.py {path} BACKBONE.pth'
        + AS_BACKBONE.format(path='BACKBONE.pth').replace('from it', 'from the result')
    )
