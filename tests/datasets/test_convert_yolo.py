"""YOLO's label files become COCO annotations."""

import json
import sys

import pytest
from coco_layouts import write_images
from conftest import load_tool
from pycocotools import mask as rle

from eca_mmdet.datasets.coco_folder import find_coco_folder
from eca_mmdet.datasets.convert_yolo import convert_yolo

BOX = '1 0.5 0.5 0.5 0.25\n'
POLYGON = '0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n'


def write_labels(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f'{name}.txt').write_text(text)


@pytest.fixture
def yolo(tmp_path):
    """A folder as Roboflow has it. The second training image has no objects, the third no label file."""
    root = tmp_path / 'data'
    for split, names in (('train', 'abc'), ('valid', 'd')):
        write_images(root / split / 'images', [f'{name}.jpg' for name in names])
        write_labels(root / split / 'labels', {name: BOX if name in 'ad' else '' for name in names[:2]})
    (root / 'data.yaml').write_text(
        'train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, dog]\n'
    )
    return root


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def test_roboflows_layout__becomes_a_folder_that_data_reads(yolo):
    convert_yolo(yolo)
    found = find_coco_folder(yolo)
    assert found.classes == ('cat', 'dog')
    assert [len(split.content['images']) for split in found.splits.values()] == [3, 1]
    assert not found.has_masks
    assert not any(split.corrections for split in found.splits.values())


def test_boxes__are_in_pixels(yolo):
    convert_yolo(yolo)
    item = read(yolo / 'val.json')['annotations'][0]
    assert (item['category_id'], item['bbox'], item['area']) == (2, [12, 15, 24, 10], 240)


@pytest.mark.parametrize(
    ('images', 'labels'),
    [
        ('images/{}', 'labels/{}'),
        ('{}/images', '{}/labels'),
        ('{}', '{}'),
        ('images/{}2017', 'labels/{}2017'),
    ],
)
def test_layouts__give_each_split_its_labels(tmp_path, images, labels):
    for split, name in (('train', 'a'), ('val', 'b')):
        write_images(tmp_path / images.format(split), [f'{name}.jpg'])
        write_labels(tmp_path / labels.format(split), {name: BOX})
    (tmp_path / 'data.yaml').write_text('names: {0: cat, 1: dog}')
    convert_yolo(tmp_path)
    content = read(tmp_path / 'val.json')
    assert [image['file_name'] for image in content['images']] == [f'{images.format("val")}/b.jpg']
    assert len(content['annotations']) == 1


def test_classes_txt__names_the_classes_of_a_folder_without_splits(tmp_path):
    write_images(tmp_path / 'images', ['a.jpg'])
    write_labels(tmp_path / 'labels', {'a': BOX})
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    convert_yolo(tmp_path)
    assert [item['name'] for item in read(tmp_path / 'train.json')['categories']] == ['cat', 'dog']


def test_polygons__become_masks(yolo):
    write_labels(yolo / 'valid/labels', {'d': POLYGON})
    convert_yolo(yolo)
    item = read(yolo / 'val.json')['annotations'][0]
    assert item['bbox'] == [12, 10, 24, 20]
    mask = rle.decode(item['segmentation'])
    assert mask.shape == (40, 48)
    assert mask[15, 20] == 1
    assert mask[5, 5] == 0
    assert item['area'] == mask.sum()


def test_box_beside_a_polygon__has_no_mask(yolo):
    write_labels(yolo / 'valid/labels', {'d': POLYGON + BOX})
    convert_yolo(yolo)
    assert ['segmentation' in item for item in read(yolo / 'val.json')['annotations']] == [True, False]


def test_numbered_names__are_in_the_order_of_their_numbers(yolo):
    names = {index: f'class {index}' for index in range(11)}
    (yolo / 'data.yaml').write_text('names:\n' + ''.join(f'  {i}: {name}\n' for i, name in names.items()))
    convert_yolo(yolo)
    assert [item['name'] for item in read(yolo / 'val.json')['categories']] == list(names.values())


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('2 0.5 0.5 0.5 0.25', r'd.txt has the class 2, but there are 2 classes \(0 to 1\)'),
        ('1 0.5 0.5', r'd.txt: .*expected at least 5 tokens'),
        ('1 0.5 0.5 x 0.25', 'd.txt: '),
        ('1 0.5 0.5 nan 0.25', 'd.txt: '),
    ],
)
def test_faulty_labels__are_named_and_nothing_is_written(yolo, text, message):
    write_labels(yolo / 'valid/labels', {'d': text})
    with pytest.raises(ValueError, match=message):
        convert_yolo(yolo)
    assert not list(yolo.glob('*.json'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('names: [', 'data.yaml is not valid YAML'),
        ('nc: 2', 'has no list of names'),
        ('names: {1: a, 2: b}', 'has no list of names'),
        ('names: [a, b]\nkpt_shape: [3, 2]', 'describes keypoints'),
    ],
)
def test_faulty_yaml__is_named(yolo, text, message):
    (yolo / 'data.yaml').write_text(text)
    with pytest.raises(ValueError, match=message):
        convert_yolo(yolo)


def test_missing_names_and_images__are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match='neither data.yaml nor classes.txt'):
        convert_yolo(tmp_path)
    with pytest.raises(FileNotFoundError, match='no images with label files'):
        convert_yolo(tmp_path, classes=['cat'])


def test_existing_files__are_only_replaced_on_request(yolo):
    convert_yolo(yolo)
    with pytest.raises(FileExistsError, match='Use --overwrite'):
        convert_yolo(yolo)
    convert_yolo(yolo, overwrite=True)


def test_tool__prints_the_files(yolo, capsys):
    load_tool('yolo_to_coco').main([str(yolo)])
    assert f'{yolo}/train.json: 3 images, 1 objects, 2 classes' in capsys.readouterr().out


def test_missing_library__names_the_command_that_installs_it(yolo, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision.dataset.formats.yolo', None)
    with pytest.raises(SystemExit) as exit_:
        load_tool('yolo_to_coco').main([str(yolo)])
    assert exit_.value.code == 2
    assert 'pip install supervision' in capsys.readouterr().err
