"""Options of the COCO metric, and checks of them before the run."""

from typing import Optional, Sequence

from mmengine.logging import MMLogger

BACKENDS = ('auto', 'hotcoco', 'pycocotools')
ITEMS = {
    name: index
    for index, name in enumerate(
        (
            *('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
            *('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000'),
        )
    )
}
"""Maps mmdet's metric items to their index in ``COCOeval.stats``."""
PROPOSAL_ITEMS = list(ITEMS)[6:]
"""Items that ``metric='proposal'`` reports by default."""


def resolve_backend(backend: str, use_mp_eval: bool) -> str:
    """Choose the backend to run: ``hotcoco`` or ``pycocotools``.

    Raises:
        ValueError: If the backend is unknown, is not installed, or does not support ``use_mp_eval``.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend={backend!r}: allowed are {", ".join(BACKENDS)}')
    if backend == 'hotcoco' and use_mp_eval:
        raise ValueError("use_mp_eval needs pycocotools: remove it, or set backend='pycocotools'")
    if backend == 'pycocotools' or use_mp_eval:
        return 'pycocotools'
    try:
        import hotcoco  # noqa: F401
    except ImportError as error:
        if backend == 'auto':
            return 'pycocotools'
        remedy = "pip install hotcoco, or set backend='auto'"
        raise ValueError(f"backend='hotcoco' cannot be imported ({error}): {remedy}") from None
    return 'hotcoco'


def check_options(
    metrics: Sequence[str],
    metric_items: Optional[Sequence[str]],
    proposal_nums: Sequence[int],
    format_only: bool,
) -> None:
    """Reject options that would only fail after the evaluation, and warn about misleading ones.

    Raises:
        KeyError: If a metric item is unknown.
        ValueError: If ``proposal_nums`` has fewer than the three numbers that pycocotools needs.
    """
    unknown = [item for item in metric_items or () if item not in ITEMS]
    if unknown:
        raise KeyError(f'metric_items={unknown} are not supported; allowed are {", ".join(ITEMS)}')
    numbers = sorted(proposal_nums)
    if format_only or set(metrics) <= {'proposal_fast'}:
        return
    if len(numbers) < 3:
        raise ValueError(f'proposal_nums={numbers}: COCO needs three numbers, such as (100, 300, 1000)')
    logger = MMLogger.get_current_instance()
    if numbers[:3] != [100, 300, 1000]:
        logger.warning(
            f'proposal_nums={numbers}: the results are still named AR@100, AR@300 and AR@1000, but are '
            f'computed with {numbers[0]}, {numbers[1]} and {numbers[2]} detections per image'
        )
    if 100 not in numbers:
        logger.warning(
            f'mAP is computed with 100 detections per image. proposal_nums={numbers} does not contain 100, '
            'so mAP is -1'
        )
