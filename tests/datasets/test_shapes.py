"""The generated dataset of shapes."""

import hashlib
import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools import mask as rle
from pycocotools.coco import COCO

from eca_mmdet.datasets import make_shapes
from eca_mmdet.datasets.shapes import draw_image, run_lengths


def digest(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return [(str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def test_seed__determines_every_byte(tmp_path):
    sets = [
        make_shapes(tmp_path / str(i), train=3, val=2, size=64, seed=seed) for i, seed in enumerate((7, 7, 8))
    ]
    first, second, other = map(digest, sets)
    assert first == second
    assert first != other


def test_image__does_not_depend_on_the_number_of_images(tmp_path):
    few = make_shapes(tmp_path / 'few', train=2, val=1, size=64)
    many = make_shapes(tmp_path / 'many', train=4, val=1, size=64)
    for name in ('train2017/000002.jpg', 'val2017/000001.jpg'):
        assert (few / name).read_bytes() == (many / name).read_bytes()


def test_annotations__have_all_sizes_crowds_and_all_mask_formats():
    annotations = [a for n in range(60) for a in draw_image(np.random.default_rng(n), 192)[1]]
    areas = [a['area'] for a in annotations if not a['iscrowd']]
    assert min(areas) < 32**2 / 4
    assert max(areas) > 96**2
    assert {a['category_id'] for a in annotations} == {1, 2, 3}
    crowds = [a for a in annotations if a['iscrowd']]
    assert crowds
    assert all(isinstance(a['segmentation']['counts'], list) for a in crowds)
    formats = {type(a['segmentation']).__name__ for a in annotations if not a['iscrowd']}
    assert formats == {'list', 'dict'}  # polygons for whole objects, run lengths for occluded ones


def test_annotations__match_their_masks(shapes):
    coco = COCO(shapes / 'annotations/instances_train2017.json')
    for annotation in coco.anns.values():
        encoded = coco.annToRLE(annotation)
        assert rle.area(encoded) == annotation['area']
        assert rle.toBbox(encoded).tolist() == annotation['bbox']


def test_masks__do_not_overlap(shapes):
    coco = COCO(shapes / 'annotations/instances_train2017.json')
    for image in coco.imgs:
        masks = [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds(image))]
        assert np.sum(masks, 0).max() <= 1


def test_run_lengths__decode_to_the_mask():
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    decoded = rle.decode(rle.frPyObjects(dict(size=[7, 5], counts=run_lengths(mask)), 7, 5))
    assert (decoded == mask).all()


def test_dataset__is_loaded_by_mmdet(shapes):
    dataset = CocoDataset(
        data_root=str(shapes),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=('circle', 'square', 'triangle')),
    )
    assert len(dataset) == 8
    assert dataset[0]['instances']


def test_second_call__keeps_a_finished_dataset(tmp_path):
    root = make_shapes(tmp_path / 'a', train=1, val=1, size=64)
    before = (root / 'train2017/000001.jpg').stat().st_mtime_ns
    make_shapes(root, train=1, val=1, size=64)
    assert (root / 'train2017/000001.jpg').stat().st_mtime_ns == before


def test_other_dataset__is_never_overwritten(tmp_path):
    root = make_shapes(tmp_path / 'a', train=1, val=1, size=64)
    with pytest.raises(FileExistsError, match='other settings'):
        make_shapes(root, train=2, val=1, size=64)
    foreign = tmp_path / 'coco/annotations'
    foreign.mkdir(parents=True)
    (foreign / 'instances_val2017.json').write_text(json.dumps({}))
    with pytest.raises(FileExistsError, match='another dataset'):
        make_shapes(tmp_path / 'coco')


@pytest.mark.parametrize('options', [dict(train=0), dict(val=0), dict(size=32)])
def test_wrong_sizes__are_rejected(tmp_path, options):
    with pytest.raises(ValueError, match='train and val must be at least 1, size at least 64'):
        make_shapes(tmp_path / 'a', **options)
