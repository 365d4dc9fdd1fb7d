"""Semantic masks of the datasets that the tools make."""

import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import load_tool
from pycocotools.coco import COCO

from eca_mmdet.datasets import convert_nuclei, make_shapes, masks_from_coco
from eca_mmdet.datasets.shapes import draw_image


def masks(folder):
    return {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.glob('*.png'))}


def test_shapes__have_the_class_of_every_annotated_pixel(shapes):
    coco = COCO(shapes / 'annotations/instances_train2017.json')
    found = masks(shapes / 'semantic/train2017')
    assert len(found) == len(coco.imgs) == 8
    for image in coco.loadImgs(coco.imgs):
        labels = found[image['file_name'][:-4]]
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            inside = labels[coco.annToMask(annotation) > 0]
            assert set(inside) == {255 if annotation['iscrowd'] else annotation['category_id']}


def test_shapes__have_background_where_nothing_was_drawn():
    """Pixels of occluded shapes without an annotation keep their class, so most others are background."""
    shares, values = [], set()
    for seed in range(20):
        _, annotations, labels = draw_image(np.random.default_rng(seed), 96)
        values |= set(np.unique(labels).tolist())
        covered = sum(annotation['area'] for annotation in annotations)
        shares.append(((labels > 0).sum() - covered) / labels.size)
    assert values == {0, 1, 2, 3, 255}
    assert min(shares) >= 0
    assert np.mean(shares) < 0.02


def test_shapes__of_an_earlier_version_get_their_masks(shapes, tmp_path):
    root = shutil.copytree(shapes, tmp_path / 'old')
    shutil.rmtree(root / 'semantic')
    make_shapes(root, train=8, val=4, size=64)
    for split in ('train2017', 'val2017'):
        new, old = masks(root / 'semantic' / split), masks(shapes / 'semantic' / split)
        assert list(new) == list(old)
        assert all(np.array_equal(new[name], old[name]) for name in old)


def test_shapes__that_were_drawn_differently_get_no_masks(shapes, tmp_path):
    root = shutil.copytree(shapes, tmp_path / 'old')
    shutil.rmtree(root / 'semantic')
    path = root / 'annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    content['annotations'].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(FileExistsError, match='cannot add their semantic masks. Name another folder'):
        make_shapes(root, train=8, val=4, size=64)


@pytest.fixture
def nuclei_source(tmp_path):
    """Two images in the published format; in the second, two nuclei touch."""
    for index, boxes in enumerate([[(2, 6)], [(2, 6), (5, 9)]]):
        folder = tmp_path / 'stage1_train' / f'{index:064x}'[::-1]
        for name in ('images', 'masks'):
            (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / 'images' / f'{folder.name}.png'), np.zeros((12, 10, 3), np.uint8))
        for number, (start, stop) in enumerate(boxes):
            mask = np.zeros((12, 10), np.uint8)
            mask[start:stop, 3:7] = 255
            cv2.imwrite(str(folder / 'masks' / f'{number}.png'), mask)
    return tmp_path / 'stage1_train'


def test_nuclei__are_1_on_a_background_of_0(nuclei_source, tmp_path):
    convert_nuclei(nuclei_source, tmp_path / 'out', val=1)
    found = [
        labels for split in ('train', 'val') for labels in masks(tmp_path / 'out/semantic' / split).values()
    ]
    assert {(tuple(np.unique(labels)), int(labels.sum())) for labels in found} == {((0, 1), 16), ((0, 1), 28)}


def test_masks_option__completes_a_converted_folder_in_another_one(nuclei_source, tmp_path):
    convert_nuclei(nuclei_source, tmp_path / 'old', val=1)
    load_tool('nuclei_to_coco').main(['--masks', str(tmp_path / 'old'), str(tmp_path / 'new')])
    for split in ('train', 'val'):
        expected = masks(tmp_path / 'old/semantic' / split)
        found = masks(tmp_path / 'new/semantic' / split)
        assert list(found) == list(expected) == [path.stem for path in (tmp_path / 'new' / split).iterdir()]
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_masks_option__can_write_into_the_same_folder(nuclei_source, tmp_path):
    convert_nuclei(nuclei_source, tmp_path / 'old', val=1)
    expected = masks(tmp_path / 'old/semantic/train')
    shutil.rmtree(tmp_path / 'old/semantic')
    masks_from_coco(tmp_path / 'old', tmp_path / 'old', ['train', 'val'])
    found = masks(tmp_path / 'old/semantic/train')
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_masks_option__reports_wrong_folders(nuclei_source, tmp_path):
    with pytest.raises(FileNotFoundError, match='annotations/train.json not found'):
        masks_from_coco(nuclei_source, tmp_path / 'new', ['train', 'val'])
    convert_nuclei(nuclei_source, tmp_path / 'old', val=1)
    with pytest.raises(FileExistsError, match='semantic exists and is not overwritten'):
        masks_from_coco(tmp_path / 'old', tmp_path / 'old', ['train', 'val'])


@pytest.mark.parametrize('counts', ['polygons', 'uncompressed run lengths'])
def test_masks__of_all_formats_of_coco_are_read(tmp_path, counts):
    """A rectangle of 3 x 2 pixels at (1, 1) in an image of 6 x 5."""
    rectangle = [[1, 1, 4, 1, 4, 3, 1, 3]]
    run_lengths = dict(size=[5, 6], counts=[6, 2, 3, 2, 3, 2, 12])
    annotation = dict(image_id=1, segmentation=rectangle if counts == 'polygons' else run_lengths)
    content = dict(images=[dict(id=1, file_name='x.jpg', height=5, width=6)], annotations=[annotation])
    (tmp_path / 'src/annotations').mkdir(parents=True)
    (tmp_path / 'src/val').mkdir()
    (tmp_path / 'src/annotations/val.json').write_text(json.dumps(content))
    masks_from_coco(tmp_path / 'src', tmp_path / 'new', ['val'])
    expected = np.zeros((5, 6), np.uint8)
    expected[1:3, 1:4] = 1
    assert np.array_equal(masks(tmp_path / 'new/semantic/val')['x'], expected)
