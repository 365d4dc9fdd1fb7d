"""Random segmentations, and a tiny dataset in COCO's panoptic format."""

import json

import cv2
import numpy as np

THINGS, STUFF = ('circle', 'square'), ('ground', 'sky')
CLASSES = THINGS + STUFF
CATEGORIES = [
    dict(id=3, name='circle', isthing=1),
    dict(id=1, name='square', isthing=1),
    dict(id=9, name='ground', isthing=0),
    dict(id=4, name='sky', isthing=0),
]  # the ids are not in ascending order
PALETTE = [(200, 30, 30), (30, 200, 30), (90, 60, 30), (60, 90, 200)]
METAINFO = f'metainfo = dict(classes={CLASSES}, palette={PALETTE})'


def write_png(path, ids):
    """Write the segment ids ``(H, W)`` as colors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=2).astype(np.uint8))


def segment(ids, key, category_id, iscrowd=0):
    ys, xs = np.nonzero(ids == key)
    box = [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]
    return dict(id=key, category_id=category_id, area=len(xs), bbox=box, iscrowd=iscrowd)


def make_panoptic(folder, train=4, val=2, size=64):
    """Draw images of a circle and a square above the ground, below the sky, with a void border."""
    rng = np.random.default_rng(0)
    for split, count in (('train', train), ('val', val)):
        images, annotations = [], []
        for number in range(1, count + 1):
            image, ids = (
                rng.integers(0, 60, (size, size, 3)).astype(np.uint8),
                np.zeros((size, size), np.int32),
            )
            for key, part in ((70000, np.s_[2:40]), (300, np.s_[40:])):
                ids[part] = key
                image[part] += np.array([key % 120, 90, 30], np.uint8)
            y, x = map(int, rng.integers(15, 25, 2))
            for key, mask in (
                (7, cv2.circle(np.zeros_like(ids), (x, y), 10, 1, -1)),
                (8, cv2.rectangle(np.zeros_like(ids), (x + 12, y + 8), (x + 30, y + 25), 1, -1)),
            ):
                ids[mask > 0] = key
                image[mask > 0] = (200, 20 * key, 20)
            cv2.imwrite(str(_folder(folder / f'{split}2017') / f'{number}.jpg'), image)
            write_png(folder / f'annotations/panoptic_{split}2017/{number}.png', ids)
            categories = {7: 3, 8: 1, 300: 9, 70000: 4}
            info = [segment(ids, key, category) for key, category in categories.items()]
            images.append(dict(id=number, file_name=f'{number}.jpg', height=size, width=size))
            annotations.append(dict(image_id=number, file_name=f'{number}.png', segments_info=info))
        content = dict(images=images, annotations=annotations, categories=CATEGORIES)
        (folder / f'annotations/panoptic_{split}2017.json').write_text(json.dumps(content))
    return folder


def _folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def random_image(rng, labels=4, things=2, size=24):
    """Create a true and a predicted segmentation that overlap well, with void and crowd regions.

    Returns:
        True ids ``(size, size)``, its segments as ``(id, label, iscrowd)``, and predicted ids, in which
        ``id % 1000`` is the label.
    """

    def blocks(step):
        small = rng.integers(0, 6, (size // step, size // step))
        return np.kron(small, np.ones((step, step), int))

    truth = blocks(8)
    segments = [(key, int(rng.integers(labels)), int(rng.random() < 0.15)) for key in np.unique(truth) if key]
    of_id = {key: label for key, label, _ in segments}
    noise = np.where(rng.random((size, size)) < 0.1, blocks(4), truth)
    noise = np.where(rng.random() < 0.3, np.roll(noise, 2, axis=0), noise)
    predicted = np.full_like(truth, labels)  # unlabelled
    for key in np.unique(noise):
        label = of_id.get(key, labels) if rng.random() < 0.8 else int(rng.integers(labels))
        predicted[noise == key] = label if label == labels or label >= things else 1000 * (key + 1) + label
    return truth, segments, predicted
