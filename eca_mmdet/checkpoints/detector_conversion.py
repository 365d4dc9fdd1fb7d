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
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..backbones.weights import checkpoint_kernel_sizes
from .detector_configs import DEPTHS, class_names, config_name, detector_config, expected_tensors
from .find_weights import find_weights, plain_names, require_finite
from .fit import fit_tensors

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


class DetectorConversion(NamedTuple):
    """A converted detector and what was done to get it; begins like ``Conversion``."""

    source: str
    backbone: Dict[str, Any]
    state_dict: Dict[str, Tensor]
    renamed: List[Tuple[str, str]]
    dropped: List[str]
    added: List[str]
    config: str  # below the configs folder, one of CONFIG_NAMES
    num_classes: int
    classes: Tuple[str, ...]  # empty where the file has no names


def recognise_detector(state_dict: Dict[str, Tensor]) -> bool:
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


def convert_detector(checkpoint: Any, source: Optional[str] = None) -> DetectorConversion:
    """Turn a whole ECA detector of any mmdet version into one of mmdet 3.x.

    Args:
        checkpoint: What the file holds, or what ``find_weights`` found in it; it is not changed.
        source: Version of mmdet it was trained with, ``'1.x'``, ``'2.x'`` or ``'3.x'``; needed
            only for a RetinaNet that does not say.

    Returns:
        The conversion. Its state dict loads strictly into the model of its config.

    Raises:
        ValueError: If this is not a Faster R-CNN, Mask R-CNN or RetinaNet on ECA-ResNet-50 or
            101 with an FPN, naming the first tensors that are missing, unexpected or of another shape,
            or if its version is not known.
    """
    found = find_weights(checkpoint)
    require_finite(found.tensors)
    meta = found.meta
    if isinstance(meta.get('eca_mmdet'), str):
        raise ValueError('this detector is converted already; eca_mmdet.load_detector loads it')
    file = dict(found.tensors)
    kind, version = _kind(file), _version(file, meta, source)
    backbone = dict(type='ECAResNet', depth=_depth(file), eca_kernel_sizes=_kernel_sizes(file))
    num_classes = _num_classes(file, kind, version)
    # What was trained here with the old conventions keeps them: mmengine saves the config's text.
    legacy = version == '1.x' or 'Legacy1x' in str(meta.get('cfg', ''))
    name = config_name(kind, backbone['depth'], legacy)
    expected = expected_tensors(detector_config(name, backbone['eca_kernel_sizes'], num_classes))
    old = detector_to_1x(expected) if version == '1.x' else expected  # names of the file in errors
    added = fit_tensors(file, old, f'a {kind} of mmdet {version}')
    state_dict, dropped = file, found.dropped
    if version == '1.x':
        state_dict = detector_to_3x(file)
        dropped += _dropped_rows(file, state_dict)
    before = (found.names[name] for name in found.tensors)
    renamed = [(old, new) for old, new in zip(before, state_dict) if old != new]
    return DetectorConversion(
        f'mmdet {version} {kind}', backbone, state_dict, renamed, dropped, added, name, num_classes,
        class_names(meta, num_classes),
    )  # fmt: skip


def _rename(state_dict: Dict[str, Tensor], table: Tuple[Tuple[str, str], ...]) -> Dict[str, Tensor]:
    """Apply ordered patterns to the names; the heads move only in detectors with an RPN."""
    with_rpn = any(name.startswith('rpn_head.') for name in state_dict)
    renamed = {}
    for key, value in state_dict.items():
        name = key
        for pattern, replacement in table if with_rpn else ():
            name = re.sub(pattern, replacement, name)
        if name in renamed:
            raise ValueError(f'two tensors of the file would both be named {name!r}')
        renamed[name] = value
    return renamed


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


def _version(file: Dict[str, Tensor], meta: Dict[str, Any], source: Optional[str]) -> str:
    """The version by the tensors' names, else by what the file or the caller says."""
    if source is not None and source not in VERSIONS:
        raise ValueError(f'source of a detector is one of {VERSIONS}, got {source!r}')
    stated = '3.x' if 'mmengine_version' in meta else f'{str(meta.get("mmdet_version"))[:1]}.x'
    claimed = source or (stated if stated in VERSIONS else None)
    with_rpn = any(name.startswith('rpn_head.') for name in file)
    if not with_rpn:
        if claimed is None:
            raise ValueError(
                'a RetinaNet has the same tensors in mmdet 1.x, 2.x and 3.x but other boxes in 1.x, and this '
                'file does not say its version; state it: --source detector-1.x, detector-2.x or detector-3.x'
            )
        return claimed
    old = any(re.match(HEADS_1X[0][0], name) for name in file)
    new = any(re.match(HEADS_3X[0][0], name) for name in file)
    if old and new:
        raise ValueError(
            'the file has heads of mmdet 1.x (bbox_head.) and of later ones (roi_head.bbox_head.)'
        )
    if source is not None and old != (source == '1.x'):
        raise ValueError(f'the heads are named as in mmdet {"1.x" if old else "2.x and 3.x"}, not {source}')
    return '1.x' if old else ('3.x' if claimed in (None, '1.x') else claimed)


def _depth(file: Dict[str, Tensor]) -> int:
    found = (re.match(r'backbone\.layer3\.(\d+)\.', name) for name in file)
    blocks = len({match[1] for match in found if match})
    if blocks not in BLOCKS or 'backbone.layer1.0.conv3.weight' not in file:
        raise ValueError(
            f'detectors convert with ResNet backbones of depth {DEPTHS}; layer3 has {blocks} blocks. '
            'mmdet.apis.init_detector loads what was trained here, by its config; --source '
            'backbone-of-detector takes the backbone alone'
        )
    return BLOCKS[blocks]


def _kernel_sizes(file: Dict[str, Tensor]) -> List[int]:
    found = checkpoint_kernel_sizes(file, 'backbone.')
    if not found:
        raise ValueError(
            'this detector has no ECA weights (backbone.layer1.0.eca.conv.weight, ...): it is not one of '
            "ECA-Net's. mmdet itself loads detectors without ECA; --source backbone-of-detector takes the "
            'backbone alone'
        )
    if any(len(sizes) != 1 for sizes in found.values()) or sorted(found) != [0, 1, 2, 3]:
        raise ValueError(f'ECA kernel sizes must be one per stage, this file has {found} (by stage, from 0)')
    return [sizes[0] for sizes in found.values()]


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
