"""Compares the box convention of a config, that of mmdet 1.x or of later versions, with a checkpoint's."""

from typing import Any, Mapping, Optional

from mmengine.config import Config


def check_box_convention(cfg: Config, meta: Any, path: object) -> None:
    """Refuse a checkpoint whose boxes are coded in another way than the config decodes them.

    mmdet 1.x counted the last pixel of a box (``legacy.py``). Names and shapes of the tensors are the
    same, so that only AP would show it.

    Args:
        cfg: The config of a run.
        meta: What the checkpoint says about itself. One that says nothing is not checked.
        path: The checkpoint, for the message.

    Raises:
        ValueError: If the conventions differ.
    """
    trained = _is_legacy(meta) if isinstance(meta, Mapping) else None
    if trained is None or trained == ('Legacy' in str(cfg.model)):
        return
    versions = ('mmdet 1.x', 'mmdet 2 and later')
    theirs, ours = versions if trained else versions[::-1]
    remedy = 'a config of configs/legacy' if trained else 'a config outside configs/legacy'
    raise ValueError(
        f'{path} was trained with the boxes of {theirs}, and the config decodes those of {ours}: results '
        f'would be off by a pixel. Use {remedy}'
    )


def _is_legacy(meta: Mapping[str, Any]) -> Optional[bool]:
    """Whether a checkpoint is of mmdet 1.x or of a config with its boxes; ``None`` if it does not say."""
    converted, version = meta.get('detector'), str(meta.get('mmdet_version', ''))
    if isinstance(converted, Mapping):
        return str(converted.get('config')).startswith('legacy/')
    if version.startswith(('0.', '1.')):
        return True
    text = meta.get('cfg') or meta.get('config')
    return 'Legacy' in text if isinstance(text, str) else None
