"""Check that a config and a checkpoint use the same box convention, of mmdet 1.x or of later versions."""

from typing import Any, Mapping, Optional

from mmengine.config import Config


def check_box_convention(cfg: Config, meta: Any, path: object) -> None:
    """Refuse a checkpoint that was trained with another box convention than that of the config.

    In mmdet 1.x a box includes its last pixel (``legacy.py``). The names and shapes of the tensors are
    the same, so a mismatch would only lower AP.

    Args:
        cfg: The config of a run.
        meta: The metadata of the checkpoint. Without metadata, nothing is checked.
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
        f'{path} was trained with the boxes of {theirs}, but the config uses those of {ours}. Results '
        f'would be off by a pixel. Use {remedy}'
    )


def _is_legacy(meta: Mapping[str, Any]) -> Optional[bool]:
    """Whether a checkpoint was trained with the boxes of mmdet 1.x; ``None`` if it is unknown."""
    converted, version = meta.get('detector'), str(meta.get('mmdet_version', ''))
    if isinstance(converted, Mapping):
        return str(converted.get('config')).startswith('legacy/')
    if version.startswith(('0.', '1.')):
        return True
    text = meta.get('cfg') or meta.get('config')
    return 'Legacy' in text if isinstance(text, str) else None
