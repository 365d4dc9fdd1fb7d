"""Convert whole ECA detectors of mmdet 1.x, 2.x and 3.x.

mmdet 2.x and 3.x use the same tensors for these three detectors. mmdet 1.x (the six released ECA
detectors, early 2020) differs in the RoI heads. Their names do not start with ``roi_head.``, and the
background is class 0. In later versions the background is the last class of ``fc_cls``, while ``fc_reg``
and ``conv_logits`` have no outputs for it. mmdet's ``upgrade_model_version.py`` is wrong for the last
two: it removes the background from their weights, but the last class from their biases.

The RPN and RetinaNet classify with sigmoids and have no background class: in 1.x, label ``l`` trained
output ``l - 1`` of ``retina_cls``. Their tensors are the same in all versions. The version of a RetinaNet
is therefore known only from its metadata or from the caller.
"""

import re
from typing import Dict, List, Mapping, Tuple

import torch
from torch import Tensor

from ..backbones import RESNET
from ..backbones.family import Table
from ..backbones.kernel_sizes import NO_ECA, KernelSizes
from ..backbones.weights import stage_sizes
from .conversion import Conversion, DetectorInfo
from .detector_configs import DEPTHS, class_names, config_name, detector_config, expected_tensors
from .find_weights import Found, require_finite
from .fit import fit_tensors
from .rename import plain_names, rename

HEADS_1X = ((r'^(bbox_head|mask_head)\.', r'roi_head.\1.'),)
"""Renaming of the RoI heads from 1.x to 3.x, as ordered (pattern, replacement) pairs."""
HEADS_3X = ((r'^roi_head\.(bbox_head|mask_head)\.', r'\1.'),)
"""The inverse of ``HEADS_1X``."""
BACKGROUND = (
    (r'roi_head\.bbox_head\.fc_cls\.(weight|bias)', 1, True),
    (r'roi_head\.bbox_head\.fc_reg\.(weight|bias)', 4, False),
    (r'roi_head\.mask_head\.conv_logits\.(weight|bias)', 1, False),
)
"""(name in 3.x, number of background rows at the start in 1.x, whether 3.x has them at the end)."""
VERSIONS = ('1.x', '2.x', '3.x')
BLOCKS = {6: 50, 23: 101}  # number of blocks in layer3 to depth


def recognise_detector(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether a state_dict belongs to a whole detector, with a backbone and heads."""
    names = {name.split('.')[0] for name in plain_names(state_dict).values()}
    return 'backbone' in names and bool(names & {'rpn_head', 'roi_head', 'bbox_head', 'mask_head'})


def detector_to_3x(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Convert the state_dict of a detector from mmdet 1.x to mmdet 3.x.

    Background outputs that 3.x does not have are removed. They do not affect any result.
    """
    converted = {}
    for key, value in _rename(state_dict, HEADS_1X).items():
        rows, kept = _background(key)
        if rows:
            # Copy, because saving a view would save the whole storage.
            value = torch.cat((value[rows:], value[:rows])) if kept else value[rows:].clone()
        converted[key] = value
    return converted


def detector_to_1x(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Invert ``detector_to_3x``. Background outputs that 3.x does not have are set to zero."""
    reordered = {}
    for key, value in state_dict.items():
        rows, kept = _background(key)
        if rows:
            front = value[-rows:] if kept else value.new_zeros(rows, *value.shape[1:])
            value = torch.cat((front, value[:-rows] if kept else value))
        reordered[key] = value
    return _rename(reordered, HEADS_3X)


def convert_detector(version: str, found: Found, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Convert a whole ECA detector of any mmdet version to mmdet 3.x.

    Args:
        version: The version of mmdet that the detector was trained with: one of ``VERSIONS``.
        found: The weights of the checkpoint, which are not changed.
        eca_kernel_sizes: Must be ``None``, because a detector has its own kernel sizes.

    Returns:
        The conversion. Its state_dict loads strictly into the model of its config.

    Raises:
        ValueError: If the detector is not a Faster R-CNN, Mask R-CNN or RetinaNet with ECA-ResNet-50
            or 101 and an FPN, or if its heads have the names of another version. The message names the
            first tensors that are missing, unexpected or of another shape.
    """
    if eca_kernel_sizes not in (None, NO_ECA):
        raise ValueError('a whole detector has its own kernel sizes: leave --eca-kernel-sizes out')
    require_finite(found.tensors)
    meta = found.meta
    if isinstance(meta.get('eca_mmdet'), str):
        raise ValueError('this detector is already converted. Load it with eca_mmdet.load_detector')
    tensors = dict(found.tensors)
    _check_version(tensors, version)
    kind = _detector_kind(tensors)
    depth, sizes = _depth(tensors), _kernel_sizes(tensors)
    backbone = dict(type=RESNET.name, depth=depth, eca_kernel_sizes=sizes)
    num_classes = _num_classes(tensors, kind, version)
    # A detector trained here may use the conventions of 1.x; its config, saved by mmengine, says so.
    is_legacy = version == '1.x' or 'Legacy1x' in str(meta.get('cfg', ''))
    name = config_name(kind, depth, is_legacy)
    expected = expected_tensors(detector_config(name, sizes, num_classes))
    old = detector_to_1x(expected) if version == '1.x' else expected  # errors show the names in the file
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
    """Find the mmdet version by the names of the heads, or else by the metadata.

    Raises:
        ValueError: If neither shows it, as for a RetinaNet without metadata.
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
            'file does not say its version. Pass --source detector-1.x, detector-2.x or detector-3.x'
        )
    return stated


def _check_version(tensors: Dict[str, Tensor], version: str) -> None:
    """Refuse heads without the names that this version of mmdet uses."""
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
    """Rename the RoI heads, which only detectors with an RPN have."""
    names = rename(state_dict, table if _has_rpn(state_dict) else ())
    return {names[name]: value for name, value in state_dict.items()}


def _background(name: str) -> Tuple[int, bool]:
    """Return the number of background rows of a 1.x tensor, and whether 3.x has them at the end."""
    return next(
        ((rows, kept) for pattern, rows, kept in BACKGROUND if re.fullmatch(pattern, name)), (0, False)
    )


def _detector_kind(tensors: Dict[str, Tensor]) -> str:
    heads = {name.removeprefix('roi_head.').split('.')[0] for name in tensors}
    if 'rpn_head' in heads and 'bbox_head' in heads:
        return 'Mask R-CNN' if 'mask_head' in heads else 'Faster R-CNN'
    if 'bbox_head.retina_cls.weight' in tensors:
        return 'RetinaNet'
    raise ValueError(
        'only Faster R-CNN, Mask R-CNN and RetinaNet can be converted; the parts of this file are '
        f'{sorted({name.split(".")[0] for name in tensors})[:8]}'
    )


def _depth(tensors: Dict[str, Tensor]) -> int:
    parts = filter(None, map(RESNET.split, tensors))
    blocks = len({part.block for part in parts if part.prefix == 'backbone.' and part.stage == 3})
    if blocks not in BLOCKS or 'backbone.layer1.0.conv3.weight' not in tensors:
        raise ValueError(
            f'only detectors with a ResNet of depth {DEPTHS} can be converted; layer3 has {blocks} blocks. '
            'To load a detector that was trained here, pass its config to mmdet.apis.init_detector. To '
            'convert the backbone alone, pass --source backbone-of-detector'
        )
    return BLOCKS[blocks]


def _kernel_sizes(tensors: Dict[str, Tensor]) -> List[int]:
    sizes = stage_sizes(tensors, RESNET, 'backbone.')
    if not sizes:
        raise ValueError(
            'this detector has no ECA weights (backbone.layer1.0.eca.conv.weight, ...). Load it with mmdet '
            'itself. To convert the backbone alone, pass --source backbone-of-detector'
        )
    return sizes


def _num_classes(tensors: Dict[str, Tensor], kind: str, version: str) -> int:
    """Read the number of classes, and refuse class-agnostic heads."""
    if kind == 'RetinaNet':
        return _rows(tensors, 'bbox_head.retina_cls.weight') // 9  # anchors per position
    prefix = '' if version == '1.x' else 'roi_head.'
    classes = _rows(tensors, f'{prefix}bbox_head.fc_cls.weight') - 1
    for name, shared in (('bbox_head.fc_reg', 4), ('mask_head.conv_logits', 1)):
        name = f'{prefix}{name}.weight'
        if name in tensors and _rows(tensors, name) == shared and (classes > 1 or version == '1.x'):
            raise ValueError(
                f'{name} is class-agnostic ({shared} outputs for {classes} classes). The configs '
                'of this project have no class-agnostic heads'
            )
    return classes


def _rows(tensors: Dict[str, Tensor], name: str) -> int:
    if name not in tensors or tensors[name].dim() < 2:
        found = tuple(tensors[name].shape) if name in tensors else 'nothing'
        raise ValueError(
            f'the number of classes is read from {name}, which must have 2 or 4 dimensions; '
            f'the file has {found}'
        )
    return tensors[name].shape[0]


def _dropped_rows(tensors: Dict[str, Tensor], state_dict: Dict[str, Tensor]) -> List[str]:
    """List the removed background outputs by their names in the file."""
    pairs = zip(tensors.items(), state_dict.values())
    return [f'{key}[:{len(o) - len(n)}] (background)' for (key, o), n in pairs if o.shape != n.shape]
