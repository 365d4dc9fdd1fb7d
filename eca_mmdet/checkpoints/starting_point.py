"""What a checkpoint must fill in a model before a run may use it."""

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
    """Refuse a checkpoint that leaves a part of a model at its initial values.

    Raises:
        LoadedWeightsError: If a tensor is missing or of another shape, or the file is of another
            network, see ``require_same_network``.
    """
    require_same_network(effect, path, with_heads=True)
    missing = [name for name in effect.initial if COUNTER not in name]
    if not missing:
        return
    shapes = effect.shape_mismatches
    raise LoadedWeightsError(
        f'{path} does not fit the config: {len(missing) - len(shapes)} of {effect.size} tensors missing '
        f'{[name for name in missing if name not in effect.tensors][:3]}, {len(shapes)} of another shape '
        f'{shapes[:3]}. Is it the checkpoint of another config, or a backbone without its detector?'
    )


def require_start(effect: Effect, path: object) -> str:
    """Refuse to start a training from a checkpoint that does not fill the backbone.

    Layers that a plain ResNet does not have may start from their initial values, and so may what
    follows the backbone.

    Returns:
        The parts that start from their initial values, in one sentence; empty if there are none.

    Raises:
        LoadedWeightsError: If the file fills nothing, or not the whole backbone, or is of another
            network, see ``require_same_network``.
    """
    if not effect.num_loaded:
        raise LoadedWeightsError(
            f'{path} fills none of the {effect.size} tensors of the model; {_what_it_is(effect, path)}'
        )
    require_backbone(effect, path)
    initial = [name for name in effect.initial if COUNTER not in name]
    if not initial:
        return ''
    parts = ', '.join(group_names(initial, [*effect.expected, *effect.initial]))
    shapes = (
        f' (of another shape: {"; ".join(effect.shape_mismatches[:3])})' if effect.shape_mismatches else ''
    )
    return f'These parts are not filled by {path} and start from their initial values: {parts}{shapes}.'


def require_backbone(effect: Effect, path: object, is_backbone: bool = False) -> None:
    """Refuse a checkpoint that fills a backbone in part.

    Args:
        effect: What loading does.
        path: The checkpoint, for the message.
        is_backbone: Whether the model is the backbone, else it has one as ``backbone``.

    Raises:
        LoadedWeightsError: If a layer is missing that a plain network has, or an attention is
            filled in some blocks only, or the file is of another network, see ``require_same_network``.
    """
    require_same_network(effect, path)
    inside = '' if is_backbone else _BACKBONE
    filled = {_layer(name) for name in effect.expected if re.match(inside, name)}
    initial = [
        name for name in effect.initial if re.match(inside, name) and not _starts_by_itself(name, filled)
    ]
    if not initial:
        return
    total = sum(bool(re.match(inside, name)) for name in (*effect.expected, *effect.initial))
    raise LoadedWeightsError(
        f'{path} does not fill the backbone: {len(initial)} of its {total} tensors would start from random '
        f'values {initial[:3]}, of another shape in the file {effect.shape_mismatches[:3]}; '
        + ('is it of another network, or of a part of one?' if is_backbone else _what_it_is(effect, path))
    )


def require_same_network(effect: Effect, path: object, with_heads: bool = False) -> None:
    """Refuse a checkpoint with more blocks or layers in its stages than the model has.

    Such a file may fill the whole model: a ResNet-34 has every tensor of a ResNet-18. Without the
    remaining layers the model computes noise.

    Args:
        effect: What loading does.
        path: The checkpoint, for the message.
        with_heads: Whether to compare the layers of heads too.

    Raises:
        LoadedWeightsError: If a stage in the file has tensors that the model lacks.
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
            f'{path} is of another network: the model has no place for {len(rest)} tensors in the stages of '
            f'the file {rest[:3]}. Give the model the depth, attention and heads of the checkpoint'
        )


def _stage(name: str, with_heads: bool) -> str:
    """Return the stage or list of layers that a tensor is in, such as ``backbone.layer1``; '' if none."""
    part = split_block_name(name)
    if part:
        return part.prefix + part.block.rpartition('.')[0]
    match = _HEAD_LAYER.fullmatch(name) if with_heads else None
    return match[1] if match else ''


def _layer(name: str) -> str:
    """Return the layer of a block that a tensor is in, such as ``eca``; '' for other tensors."""
    part = split_block_name(name)
    return part.layer if part else ''


def _starts_by_itself(name: str, filled: set) -> bool:
    """Whether a tensor may keep its initial values.

    These are batch counters, deformable offsets, and an attention that the file has in no block.
    """
    layer = _layer(name)
    if COUNTER in name or 'offset' in name:
        return True
    return bool(layer) and not is_plain_layer(layer) and layer not in filled


def _what_it_is(effect: Effect, path: object) -> str:
    """What the file seems to be, and the way out."""
    tensors = effect.tensors
    if recognise_detector(tensors):
        return 'it is a detector with another backbone: use the config that it was trained with'
    try:
        entry = recognise(Found(dict(tensors), {name: name for name in tensors}))
    except ValueError:
        return f'its names start like {sorted(tensors)[:3]}. Is it the checkpoint of another config?'
    if entry.has_own_names:
        return f'it is a backbone alone (format {entry.name})' + AS_BACKBONE.format(path=path)
    return (
        f"it is a network under another library's names (format {entry.name}): convert it with\n"
        f'      python tools/convert_weights.py {path} BACKBONE.pth'
        + AS_BACKBONE.format(path='BACKBONE.pth').replace('from it', 'from the result')
    )
