"""Generate a small dataset of instance and semantic segmentation, in COCO format and as masks.

The images show circles, squares and triangles of 20 to 130 pixels that occlude each other. One image in eight
has a crowd region. The same seed gives the same images and annotations. The demo and the tests use this
dataset, so that they need no download.

The annotations use all three mask formats of COCO: polygons for whole instances, compressed run lengths for
occluded instances, and uncompressed run lengths for crowds.

The semantic masks have the value 0 for the background, 1 for circles, 2 for squares and 3 for triangles.
Crowd regions are ignored (255). Parts of shapes that are too occluded for an annotation keep their class.
"""

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from pycocotools import mask as rle

from .semantic_masks import write_mask

CLASSES = ('circle', 'square', 'triangle')
IGNORED = 255
"""Value of crowd regions in semantic masks."""
_CORNERS = (40, 4, 3)
_MAX_OVERLAP = 0.3  # of two instances, relative to the area of the smaller one
_MIN_VISIBLE = 0.3  # fraction of its area that an annotated instance must show


class Instance(NamedTuple):
    """A drawn object, with the outline and mask of its whole shape."""

    label: int
    polygon: List[float]
    mask: np.ndarray  # (H, W), bool


def make_shapes(
    root: Union[str, Path], train: int = 600, val: int = 100, size: int = 160, seed: int = 0
) -> Path:
    """Write the dataset. A finished dataset with the same settings is kept.

    A dataset of an earlier version without semantic masks is completed.

    Args:
        root: Output folder for ``annotations/``, ``train2017/``, ``val2017/`` and ``semantic/``.
        train: Number of training images.
        val: Number of validation images.
        size: Height and width of the images in pixels, at least 64.
        seed: Random seed.

    Returns:
        The output folder.

    Raises:
        ValueError: If a number of images is below 1 or ``size`` is below 64.
        FileExistsError: If the folder contains another dataset, or one that this version draws differently.
    """
    if min(train, val) < 1 or size < 64:
        raise ValueError(
            f'train={train}, val={val}, size={size}: train and val must be at least 1, size at least 64'
        )
    root = Path(root)
    recipe = dict(train=train, val=val, size=size, seed=seed, version=4)
    if _is_finished(root, recipe):
        _complete_masks(root, recipe)
        return root
    for index, (split, count) in enumerate((('train2017', train), ('val2017', val))):
        folder = root / split
        folder.mkdir(parents=True, exist_ok=True)
        coco: Dict[str, Any] = dict(
            info=dict(description='shapes drawn by eca_mmdet'),
            images=[],
            annotations=[],
            categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
        )
        for number in track_iter_progress(range(1, count + 1)):
            image, annotations, labels = draw_image(np.random.default_rng([seed, index, number]), size)
            name = f'{number:06d}.jpg'
            cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            write_mask(root / 'semantic' / split, name, labels)
            coco['images'].append(dict(id=number, file_name=name, height=size, width=size))
            for annotation in annotations:
                ids = dict(id=len(coco['annotations']) + 1, image_id=number)
                coco['annotations'].append({**ids, **annotation})
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(coco))
    (root / 'recipe.json').write_text(json.dumps(recipe))  # last, because it marks the folder as complete
    return root


def _complete_masks(root: Path, recipe: dict) -> None:
    """Write semantic masks that are missing, by drawing the images again."""
    for index, (split, count) in enumerate((('train2017', recipe['train']), ('val2017', recipe['val']))):
        folder = root / 'semantic' / split
        missing = [n for n in range(1, count + 1) if not (folder / f'{n:06d}.png').is_file()]
        outlines: Dict[int, list] = {number: [] for number in missing}
        if missing:
            coco = json.loads((root / f'annotations/instances_{split}.json').read_text())
            for item in coco['annotations']:
                outlines.setdefault(item['image_id'], []).append(item['segmentation'])
        for number in missing:
            _, annotations, labels = draw_image(
                np.random.default_rng([recipe['seed'], index, number]), recipe['size']
            )
            if outlines[number] != [item['segmentation'] for item in annotations]:
                raise FileExistsError(
                    f'{root} contains shapes that this version draws differently, so it cannot add their '
                    'semantic masks. Name another folder'
                )
            write_mask(folder, f'{number:06d}.jpg', labels)


def _is_finished(root: Path, recipe: dict) -> bool:
    """Whether the folder contains this dataset. Raise an error if it contains another one."""
    stamp = root / 'recipe.json'
    if stamp.is_file():
        if json.loads(stamp.read_text()) == recipe:
            return True
        raise FileExistsError(
            f'{root} contains shapes with other settings: {stamp.read_text()}. Name another folder'
        )
    if (root / 'annotations').exists():  # an interrupted run did not write the annotations of both splits
        if not (root / 'annotations' / 'instances_val2017.json').exists():
            return False
        raise FileExistsError(f'{root} contains another dataset. Name another folder')
    return False


def draw_image(rng: np.random.Generator, size: int) -> Tuple[np.ndarray, List[dict], np.ndarray]:
    """Draw an image.

    Args:
        rng: Random number generator.
        size: Height and width in pixels.

    Returns:
        The image ``(size, size, 3)``, uint8, BGR, its COCO annotations, and its semantic mask
        ``(size, size)``, uint8.
    """
    image = _texture(rng, size, contrast=20)
    crowd = _draw_crowd(rng, image) if rng.random() < 0.125 else None
    instances: List[Instance] = []
    for _ in range(rng.integers(2, 8)):
        instance = _random_instance(rng, size)
        if all(_overlap(instance, other) < _MAX_OVERLAP for other in instances):
            instances.append(instance)
    instances.sort(key=lambda instance: -instance.mask.sum())  # draw small ones last, in front
    annotations = _annotate(instances, crowd)
    return _paint(rng, image, instances), annotations, _label_pixels(instances, crowd, size)


def draw_single(rng: np.random.Generator, label: int, size: int) -> np.ndarray:
    """Draw an image of one shape.

    Args:
        rng: Random number generator.
        label: Index in ``CLASSES``.
        size: Height and width in pixels.

    Returns:
        The image ``(size, size, 3)``, uint8, BGR.
    """
    radius = rng.uniform(0.2, 0.45) * size
    centre = rng.uniform(min(radius, 0.45 * size), size - min(radius, 0.45 * size), 2)
    instance = _instance(label, centre, radius, rng.uniform(0, 2 * np.pi), size)
    return _paint(rng, _texture(rng, size, contrast=20), [instance])


def _paint(rng: np.random.Generator, image: np.ndarray, instances: List[Instance]) -> np.ndarray:
    """Paint instances over a background, add noise, and convert to uint8."""
    for instance in instances:
        image[instance.mask] = _texture(rng, len(image), 50, instance.label)[instance.mask]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, size: int, contrast: float, label: Optional[int] = None) -> np.ndarray:
    """Draw a pattern ``(size, size, 3)`` in a random colour.

    Circles are shaded, squares striped and triangles chequered. The background (``label=None``) is darker
    and faintly shaded. A small network learns these differences in minutes.
    """
    y, x = np.mgrid[:size, :size]
    angle = rng.uniform(0, np.pi)
    period = rng.uniform(4, 8) if label in (1, 2) else rng.uniform(60, 150)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wave = np.sin(along * 2 * np.pi / period)
    if label == 2:
        wave *= np.sin(across * 2 * np.pi / period)
    colour = rng.uniform(20, 90, 3) if label is None else rng.uniform(110, 215, 3)
    return colour + contrast * wave[..., None] * rng.uniform(0.5, 1, 3)


def _random_instance(rng: np.random.Generator, size: int) -> Instance:
    label = int(rng.integers(len(CLASSES)))
    radius = np.exp(rng.uniform(np.log(10), np.log(0.4 * size)))  # half of the size, log-uniform
    centre = rng.uniform(radius * 0.7, size - radius * 0.7, 2)
    return _instance(label, centre, radius, rng.uniform(0, 2 * np.pi), size)


def _overlap(one: Instance, other: Instance) -> float:
    return (one.mask & other.mask).sum() / min(one.mask.sum(), other.mask.sum())


def _instance(label: int, centre: np.ndarray, radius: float, angle: float, size: int) -> Instance:
    turns = angle + np.arange(_CORNERS[label]) * 2 * np.pi / _CORNERS[label]
    points = centre + radius * np.stack([np.cos(turns), np.sin(turns)], 1)
    polygon = np.clip(points, 0, size).round(2).ravel().tolist()
    mask = rle.decode(rle.merge(rle.frPyObjects([polygon], size, size))).astype(bool)
    return Instance(label, polygon, mask)


def _draw_crowd(rng: np.random.Generator, image: np.ndarray) -> Instance:
    """Draw many small circles close together and return them as one instance."""
    size = image.shape[0]
    middle = rng.uniform(0.25 * size, 0.75 * size, 2)
    region = np.zeros((size, size), bool)
    for _ in range(15):
        radius = rng.uniform(3, 5)
        centre = np.clip(middle + rng.normal(0, 0.07 * size, 2), radius, size - radius)
        mask = _instance(0, centre, radius, 0, size).mask
        image[mask] = rng.uniform(40, 215, 3)
        region |= mask
    return Instance(0, [], region)


def _annotate(instances: List[Instance], crowd: Optional[Instance]) -> List[dict]:
    """Return COCO annotations of the visible parts. Later instances are in front."""
    annotations = []
    hidden = np.zeros_like(instances[0].mask)
    for instance in reversed(instances):
        visible = instance.mask & ~hidden
        if visible.sum() >= max(_MIN_VISIBLE * instance.mask.sum(), 16):
            is_whole = visible.sum() == instance.mask.sum()
            annotations.append(_annotation(instance.label, visible, instance.polygon if is_whole else None))
        hidden |= instance.mask
    if crowd is not None and (crowd.mask & ~hidden).any():
        annotations.append(_annotation(0, crowd.mask & ~hidden, None, crowd=True))
    return annotations


def _label_pixels(instances: List[Instance], crowd: Optional[Instance], size: int) -> np.ndarray:
    """Return the semantic mask. Later instances are in front."""
    labels = np.zeros((size, size), np.uint8)
    if crowd is not None:
        labels[crowd.mask] = IGNORED
    for instance in instances:
        labels[instance.mask] = instance.label + 1
    return labels


def _annotation(label: int, mask: np.ndarray, polygon: Optional[List[float]], crowd: bool = False) -> dict:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    if crowd:
        segmentation: Any = dict(size=list(mask.shape), counts=run_lengths(mask))
    elif polygon:
        segmentation = [polygon]
    else:
        segmentation = dict(size=list(mask.shape), counts=encoded['counts'].decode())
    return dict(
        category_id=label + 1,
        bbox=[float(v) for v in rle.toBbox(encoded)],
        area=float(rle.area(encoded)),
        iscrowd=int(crowd),
        segmentation=segmentation,
    )


def run_lengths(mask: np.ndarray) -> List[int]:
    """Return COCO's uncompressed run lengths of a mask ``(H, W)`` in column-major order, zeros first."""
    flat = np.concatenate([[0], mask.ravel(order='F').astype(np.int8), [-1]])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges])).tolist()
