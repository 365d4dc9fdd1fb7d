"""Conversion of the nuclei dataset."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from eca_mmdet.datasets import convert_nuclei


@pytest.fixture
def published(tmp_path):
    """Four images in the published format. Image i has i nuclei and one empty mask."""
    root = tmp_path / 'stage1_train'
    for i in range(4):
        name = f'{i:064x}'[::-1]
        (root / name / 'images').mkdir(parents=True)
        (root / name / 'masks').mkdir()
        cv2.imwrite(str(root / name / 'images' / f'{name}.png'), np.full((20, 30, 3), 60 * i, np.uint8))
        for j in range(i + 1):
            mask = np.zeros((20, 30), np.uint8)
            mask[2 + 4 * j : 5 + 4 * j, 3:10] = 255 if j < i else 0
            cv2.imwrite(str(root / name / 'masks' / f'{j}.png'), mask)
    return root


def test_conversion__writes_each_nucleus_with_its_mask(published, tmp_path):
    convert_nuclei(published, tmp_path / 'out', val=1)
    counts = {}
    for split in ('train', 'val'):
        coco = COCO(tmp_path / f'out/annotations/{split}.json')
        for image in coco.loadImgs(coco.imgs):
            assert (image['height'], image['width']) == (20, 30)
            shade = int(cv2.imread(str(tmp_path / 'out' / split / image['file_name']))[0, 0, 0])
            found = coco.loadAnns(coco.getAnnIds(image['id']))
            counts[shade // 60] = len(found)
            for annotation in found:
                assert (annotation['area'], annotation['bbox'][2:]) == (21, [7, 3])
                assert coco.annToMask(annotation).sum() == 21
    assert counts == {0: 0, 1: 1, 2: 2, 3: 3}


def test_conversion__with_the_same_seed_gives_the_same_split(published, tmp_path):
    for name in ('a', 'b'):
        convert_nuclei(published, tmp_path / name, val=2, seed=3)
    files = [(tmp_path / name / 'annotations/val.json').read_text() for name in ('a', 'b')]
    assert files[0] == files[1]
    assert len(json.loads(files[0])['images']) == 2


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(src='nothing'), FileNotFoundError, 'unpacked folder stage1_train'),
        (dict(val=4), ValueError, 'between 1 and 3 for 4 images'),
        (dict(dst='stage1_train/..'), FileExistsError, 'is not overwritten'),
    ],
)
def test_conversion__reports_wrong_arguments(published, tmp_path, change, error, message):
    (tmp_path / 'annotations').mkdir()
    arguments = dict(src='stage1_train', dst='out', val=1) | change
    with pytest.raises(error, match=message):
        convert_nuclei(tmp_path / arguments['src'], tmp_path / arguments['dst'], val=arguments['val'])


def test_conversion__reports_an_unreadable_image(published, tmp_path):
    path = next(published.glob('*/masks/0.png'))
    path.write_bytes(b'')
    with pytest.raises(ValueError, match='0.png cannot be read as an image'):
        convert_nuclei(published, tmp_path / 'out', val=1)


def test_converted_dataset__has_the_expected_structure(nuclei):
    for split, images in (('train', 420), ('val', 120)):
        content = json.loads((nuclei / f'annotations/{split}.json').read_text())
        assert len(content['images']) == images
        assert [c['name'] for c in content['categories']] == ['nucleus']
        assert (nuclei / split / content['images'][0]['file_name']).is_file()
