"""Options of the COCO metric: what its items mean, and checks before the run."""

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
"""mmdet's name of a number to its place in ``COCOeval.stats``."""
PROPOSAL_ITEMS = list(ITEMS)[6:]
"""What ``metric='proposal'`` reports by default."""


def resolve_backend(backend: str, use_mp_eval: bool) -> str:
    """The backend that runs: ``hotcoco`` or ``pycocotools``.

    Raises:
        ValueError: If there is no such backend, it is not installed, or it has no ``use_mp_eval``.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend={backend!r}: allowed are {", ".join(BACKENDS)}')
    if backend == 'hotcoco' and use_mp_eval:
        raise ValueError("use_mp_eval belongs to pycocotools: leave it out, or set backend='pycocotools'")
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
    """Refuse options that would only fail after the evaluation, and say what others mean.

    Raises:
        KeyError: If there is no such metric item.
        ValueError: If pycocotools needs more ``proposal_nums`` for its summary.
    """
    unknown = [item for item in metric_items or () if item not in ITEMS]
    if unknown:
        raise KeyError(f'metric_items={unknown} are not supported; allowed are {", ".join(ITEMS)}')
    numbers = sorted(proposal_nums)
    if format_only or set(metrics) <= {'proposal_fast'}:
        return
    if len(numbers) < 3:
        raise ValueError(f'proposal_nums={numbers}: COCO needs three, such as (100, 300, 1000)')
    logger = MMLogger.get_current_instance()
    if numbers[:3] != [100, 300, 1000]:
        logger.warning(
            f'proposal_nums={numbers}: the names AR@100, AR@300 and AR@1000 stay, and stand for '
            f'{numbers[0]}, {numbers[1]} and {numbers[2]} detections an image'
        )
    if 100 not in numbers:
        logger.warning(
            f'mAP is taken at 100 detections an image; proposal_nums={numbers} has none, so mAP is -1'
        )
