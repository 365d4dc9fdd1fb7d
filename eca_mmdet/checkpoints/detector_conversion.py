"""Whole ECA detectors of mmdet 1.x, 2.x and 3.x, as pure functions.

mmdet 2.x and 3.x name and order the tensors of these three detectors alike. mmdet 1.x (the six
released ECA detectors, early 2020) differs in the heads on RoIs: no ``roi_head.`` before their
names, and the background is class 0. It moves to the end of ``fc_cls``; ``fc_reg`` and
``conv_logits`` have no outputs for it any more. mmdet's ``upgrade_model_version.py`` is no guide:
it cuts the background from the weights of the last two but the last class from their biases.

The RPN and RetinaNet classify with sigmoids, which never had a background: in 1.x label ``l``
trained output ``l - 1`` of ``retina_cls``. Their tensors are the same in all versions, so that
nothing in a RetinaNet tells 1.x from 2.x but the version written beside it, or the caller.
"""

import re
from typing import Dict, List, Mapping, Tuple

import torch
from torch import Tensor

from ..backbones import RESNET
from ..backbones.family import Table
from ..backbones.kernel_sizes import KernelSizes
from ..backbones.weights import stage_sizes
from .conversion import Conversion, DetectorInfo
from .detector_configs import DEPTHS, class_names, config_name, detector_config, expected_tensors
from .find_weights import Found, require_finite
from .fit import fit_tensors
from .rename import plain_names, rename

HEADS_1X = ((r'^(bbox_head|mask_head)\.', r'roi_head.\1.'),)
"""Ordered (pattern, replacement) pairs for detectors with RoIs, and their inverse."""
HEADS_3X = ((r'^roi_head\.(bbox_head|mask_head)\.', r'\1.'),)
BACKGROUND = (
    (r'roi_head\.bbox_head\.fc_cls\.(weight|bias)', 1, True),
    (r'roi_head\.bbox_head\.fc_reg\.(weight|bias)', 4, False),
    (r'roi_head\.mask_head\.conv_logits\.(weight|bias)', 1, False),
)
"""(name in 3.x, rows of the background in front in 1.x, whether 3.x has them, at the end)."""
VERSIONS = ('1.x', '2.x', '3.x')
BLOCKS = {6: 50, 23: 101}  # of layer3, by which the two depths differ


def recognise_detector(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of a whole detector: a backbone and the heads on it."""
    names = {name.split('.')[0] for name in plain_names(state_dict).values()}
    return 'backbone' in names and bool(names & {'rpn_head', 'roi_head', 'bbox_head', 'mask_head'})


def detector_to_3x(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Turn the tensors of a detector of mmdet 1.x into those of mmdet 3.x.

    Outputs of the background that 3.x has not are left out; they had no part in a result.
    """
    converted = {}
    for key, value in _rename(state_dict, HEADS_1X).items():
        rows, kept = _background(key)
        if rows:
            # New memory: saving a view would save what it was cut from.
            value = torch.cat((value[rows:], value[:rows])) if kept else value[rows:].clone()
        converted[key] = value
    return converted


def detector_to_1x(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """The inverse of ``detector_to_3x``; outputs of the background that 3.x has not are zero."""
    reordered = {}
    for key, value in state_dict.items():
        rows, kept = _background(key)
        if rows:
            front = value[-rows:] if kept else value.new_zeros(rows, *value.shape[1:])
            value = torch.cat((front, value[:-rows] if kept else value))
        reordered[key] = value
    return _rename(reordered, HEADS_3X)


def convert_detector(version: str, found: Found, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Turn a whole ECA detector of any mmdet version into one of mmdet 3.x.

    Args:
        version: The version of mmdet that it was trained with: one of ``VERSIONS``.
        found: The weights of the checkpoint; they are not changed.
        eca_kernel_sizes: Not allowed: a detector has its kernel sizes.

    Returns:
        The conversion. Its state dict loads strictly into the model of its config.

    Raises:
        ValueError: If this is not a Faster R-CNN, Mask R-CNN or RetinaNet on ECA-ResNet-50 or
            101 with an FPN, naming the first tensors that are missing, unexpected or of another shape,
            or if the heads are named as in another version.
    """
    if eca_kernel_sizes is not None:
        raise ValueError('a whole detector has its kernel sizes: leave --eca-kernel-sizes out')
    require_finite(found.tensors)
    meta = found.meta
    if isinstance(meta.get('eca_mmdet'), str):
        raise ValueError('this detector is converted already; eca_mmdet.load_detector loads it')
    tensors = dict(found.tensors)
    _check_version(tensors, version)
    kind = _kind(tensors)
    depth, sizes = _depth(tensors), _kernel_sizes(tensors)
    backbone = dict(type=RESNET.name, depth=depth, eca_kernel_sizes=sizes)
    num_classes = _num_classes(tensors, kind, version)
    # What was trained here with the old conventions keeps them: mmengine saves the config's text.
    is_legacy = version == '1.x' or 'Legacy1x' in str(meta.get('cfg', ''))
    name = config_name(kind, depth, is_legacy)
    expected = expected_tensors(detector_config(name, sizes, num_classes))
    old = detector_to_1x(expected) if version == '1.x' else expected  # names of the file in errors
    added = fit_tensors(tensors, old, f'a {kind} of mmdet {version}')
    state_dict, dropped = tensors, found.dropped
    if version == '1.x':
        state_dict = detector_to_3x(tensors)
        dropped += _dropped_rows(tensors, state_dict)
    before = (found.names[name] for name in found.tensors)
    return Conversion(
        f'mmdet {version} {kind}',
        backbone,
        state_dict,
        renamed=[(old, new) for old, new in zip(before, state_dict) if old != new],
        dropped=dropped,
        added=added,
        network=RESNET.describe(backbone),
        detector=DetectorInfo(name, num_classes, class_names(meta, num_classes)),
    )


def detector_version(found: Found) -> str:
    """Tell the version of mmdet by the names of the heads, else by what the file says.

    Raises:
        ValueError: If neither tells it, as in a RetinaNet without metadata.
    """
    stated = f'{str(found.meta.get("mmdet_version"))[:1]}.x'
    stated = '3.x' if 'mmengine_version' in found.meta else stated
    if _has_rpn(found.tensors):
        if _has_heads(found.tensors, HEADS_1X):
            return '1.x'
        return stated if stated in VERSIONS[1:] else '3.x'
    if stated not in VERSIONS:
        raise ValueError(
            'a RetinaNet has the same tensors in mmdet 1.x, 2.x and 3.x but other boxes in 1.x, and this '
            'file does not say its version; state it: --source detector-1.x, detector-2.x or detector-3.x'
        )
    return stated


def _check_version(tensors: Dict[str, Tensor], version: str) -> None:
    """Refuse heads that are not named as in a version of mmdet."""
    is_old, is_new = _has_heads(tensors, HEADS_1X), _has_heads(tensors, HEADS_3X)
    if not _has_rpn(tensors):
        return
    if is_old and is_new:
        raise ValueError(
            'the file has heads of mmdet 1.x (bbox_head.) and of later ones (roi_head.bbox_head.)'
        )
    if is_old != (version == '1.x'):
        named = '1.x' if is_old else '2.x and 3.x'
        raise ValueError(f'the heads are named as in mmdet {named}, not {version}')


def _has_rpn(tensors: Dict[str, Tensor]) -> bool:
    return any(name.startswith('rpn_head.') for name in tensors)


def _has_heads(tensors: Dict[str, Tensor], table: Table) -> bool:
    return any(re.match(table[0][0], name) for name in tensors)


def _rename(state_dict: Dict[str, Tensor], table: Table) -> Dict[str, Tensor]:
    """Rename the heads; they have other names only in detectors with an RPN."""
    names = rename(state_dict, table if _has_rpn(state_dict) else ())
    return {names[name]: value for name, value in state_dict.items()}


def _background(name: str) -> Tuple[int, bool]:
    """Rows of the background in front of a 1.x tensor, and whether 3.x keeps them at the end."""
    return next(
        ((rows, kept) for pattern, rows, kept in BACKGROUND if re.fullmatch(pattern, name)), (0, False)
    )


def _kind(file: Dict[str, Tensor]) -> str:
    heads = {name.removeprefix('roi_head.').split('.')[0] for name in file}
    if 'rpn_head' in heads and 'bbox_head' in heads:
        return 'Mask R-CNN' if 'mask_head' in heads else 'Faster R-CNN'
    if 'bbox_head.retina_cls.weight' in file:
        return 'RetinaNet'
    raise ValueError(
        'not a Faster R-CNN, Mask R-CNN or RetinaNet, which are the detectors that convert; its parts are '
        f'{sorted({name.split(".")[0] for name in file})[:8]}'
    )


def _depth(file: Dict[str, Tensor]) -> int:
    parts = filter(None, map(RESNET.split, file))
    blocks = len({part.block for part in parts if part.prefix == 'backbone.' and part.stage == 3})
    if blocks not in BLOCKS or 'backbone.layer1.0.conv3.weight' not in file:
        raise ValueError(
            f'detectors convert with ResNet backbones of depth {DEPTHS}; layer3 has {blocks} blocks. '
            'mmdet.apis.init_detector loads what was trained here, by its config; --source '
            'backbone-of-detector takes the backbone alone'
        )
    return BLOCKS[blocks]


def _kernel_sizes(file: Dict[str, Tensor]) -> List[int]:
    sizes = stage_sizes(file, RESNET, 'backbone.')
    if not sizes:
        raise ValueError(
            'this detector has no ECA weights (backbone.layer1.0.eca.conv.weight, ...): it is not one of '
            "ECA-Net's. mmdet itself loads detectors without ECA; --source backbone-of-detector takes the "
            'backbone alone'
        )
    return sizes


def _num_classes(file: Dict[str, Tensor], kind: str, version: str) -> int:
    """Read the number of classes; refuse heads that share their boxes or masks among classes."""
    if kind == 'RetinaNet':
        return _rows(file, 'bbox_head.retina_cls.weight') // 9  # anchors at a cell
    prefix = '' if version == '1.x' else 'roi_head.'
    classes = _rows(file, f'{prefix}bbox_head.fc_cls.weight') - 1
    for name, shared in (('bbox_head.fc_reg', 4), ('mask_head.conv_logits', 1)):
        name = f'{prefix}{name}.weight'
        if name in file and _rows(file, name) == shared and (classes > 1 or version == '1.x'):
            raise ValueError(
                f'{name} is class-agnostic ({shared} outputs for {classes} classes): no released ECA '
                'detector is, and no config of this project builds one'
            )
    return classes


def _rows(file: Dict[str, Tensor], name: str) -> int:
    if name not in file or file[name].dim() < 2:
        found = tuple(file[name].shape) if name in file else 'nothing'
        raise ValueError(
            f'the number of classes is read from {name}, a matrix or kernel; the file has {found}'
        )
    return file[name].shape[0]


def _dropped_rows(file: Dict[str, Tensor], state_dict: Dict[str, Tensor]) -> List[str]:
    """Say which outputs of the background were left out, by their names in the file."""
    pairs = zip(file.items(), state_dict.values())
    return [f'{key}[:{len(o) - len(n)}] (background)' for (key, o), n in pairs if o.shape != n.shape]
