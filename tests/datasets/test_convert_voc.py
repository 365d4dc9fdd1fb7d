"""Pascal VOC's XML files become COCO annotations."""

import json
import re
import sys

import cv2
import numpy as np
import pytest
from coco_layouts import write_images
from conftest import load_tool
from mmdet.datasets import VOCDataset

from eca_mmdet.datasets.coco_folder import find_coco_folder
from eca_mmdet.datasets.convert_voc import convert_voc


def voc_object(name, box, difficult=0, polygon=''):
    sides = ''.join(f'<{key}>{value}</{key}>' for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box))
    head = f'<name>{name}</name><difficult>{difficult}</difficult>'
    return f'<object>{head}<bndbox>{sides}</bndbox>{polygon}</object>'


def write_xml(path, objects, file_name='x.jpg', size=(48, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<annotation><filename>{file_name}</filename><size><width>{size[0]}</width><height>{size[1]}</height>'
        f'<depth>3</depth></size>{"".join(objects)}</annotation>',
        encoding='utf-8',
    )


OBJECTS = [voc_object('dog', (5, 7, 24, 16)), voc_object('cat', (1, 1, 48, 40), difficult=1)]


@pytest.fixture
def voc(tmp_path):
    """A folder as VOC has it, with two images for training and one for validation."""
    root = tmp_path / 'VOC2007'
    write_images(root / 'JPEGImages', ['a.jpg', 'b.jpg', 'c.jpg'])
    for stem in 'abc':
        write_xml(root / f'Annotations/{stem}.xml', OBJECTS, f'{stem}.jpg')
    (root / 'ImageSets/Main').mkdir(parents=True)
    (root / 'ImageSets/Main/train.txt').write_text('a\nb\n')
    (root / 'ImageSets/Main/val.txt').write_text('c\n')
    (root / 'ImageSets/Main/dog_train.txt').write_text('a 1\nb -1\n')
    return root


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def test_voc_layout__becomes_a_folder_that_data_reads(voc):
    convert_voc(voc)
    found = find_coco_folder(voc)
    assert found.classes == ('cat', 'dog')
    assert [len(split.content['images']) for split in found.splits.values()] == [2, 1]
    assert not any(split.corrections for split in found.splits.values())


def test_boxes__contain_the_pixels_from_min_to_max(voc):
    convert_voc(voc)
    dog, cat = read(voc / 'val.json')['annotations']
    assert (dog['bbox'], dog['area'], dog['iscrowd']) == ([4, 6, 20, 10], 200, 0)
    assert cat['bbox'] == [0, 0, 48, 40]


def test_zero_based_boxes__are_not_shifted(voc):
    convert_voc(voc, is_zero_based=True)
    assert read(voc / 'val.json')['annotations'][0]['bbox'] == [5, 7, 19, 9]


def test_difficult_objects__are_ignored_as_in_mmdet(voc):
    convert_voc(voc)
    dataset = VOCDataset(
        metainfo=dict(classes=('cat', 'dog')),
        data_root=f'{voc.parent}/',
        ann_file='VOC2007/ImageSets/Main/val.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        pipeline=[],
        test_mode=True,
    )
    content = read(voc / 'val.json')
    expected = [(item['bbox_label'], item['ignore_flag']) for item in dataset.get_data_info(0)['instances']]
    assert [(item['category_id'] - 1, item['iscrowd']) for item in content['annotations']] == expected


def test_trainval_and_test__are_training_and_test(voc):
    (voc / 'ImageSets/Main/train.txt').rename(voc / 'ImageSets/Main/trainval.txt')
    (voc / 'ImageSets/Main/val.txt').rename(voc / 'ImageSets/Main/test.txt')
    convert_voc(voc)
    assert sorted(path.name for path in voc.glob('*.json')) == ['test.json', 'train.json']


def test_test_list_without_xml_files__is_left_out(voc):
    (voc / 'ImageSets/Main/test.txt').write_text('d\n')
    convert_voc(voc)
    assert not (voc / 'test.json').exists()


def test_folders_of_splits__are_splits(tmp_path):
    for split, stem in (('train', 'a'), ('valid', 'b')):
        write_images(tmp_path / split, [f'{stem}.jpg'])
        write_xml(tmp_path / split / f'{stem}.xml', OBJECTS, f'{stem}.jpg')
    convert_voc(tmp_path)
    assert [image['file_name'] for image in read(tmp_path / 'val.json')['images']] == ['valid/b.jpg']
    assert set(find_coco_folder(tmp_path).splits) == {'train', 'val'}


@pytest.mark.parametrize(('xmls', 'images'), [('.', '.'), ('Annotations', 'images'), ('labels', '.')])
def test_flat_folder__is_for_training_and_renamed_images_are_found(tmp_path, xmls, images):
    write_images(tmp_path / images, ['new_name.png'])
    write_xml(tmp_path / xmls / 'new_name.xml', OBJECTS, 'old_name.jpg')
    convert_voc(tmp_path)
    name = 'new_name.png' if images == '.' else f'{images}/new_name.png'
    assert [image['file_name'] for image in read(tmp_path / 'train.json')['images']] == [name]


def test_output_folder__refers_to_images_in_the_source(voc, tmp_path):
    convert_voc(voc, tmp_path / 'out')
    assert find_coco_folder(tmp_path / 'out').classes == ('cat', 'dog')
    assert not list(voc.glob('*.json'))


def test_classes__are_chosen_and_ordered(voc):
    convert_voc(voc, classes=['dog'])
    content = read(voc / 'train.json')
    assert [category['name'] for category in content['categories']] == ['dog']
    assert len(content['annotations']) == 2


def test_polygons__become_masks(tmp_path):
    polygon = '<polygon><x1>5</x1><y1>7</y1><x2>25</x2><y2>7</y2><x3>25</x3><y3>17</y3></polygon>'
    write_images(tmp_path, ['a.jpg'])
    write_xml(tmp_path / 'a.xml', [voc_object('dog', (5, 7, 24, 16), polygon=polygon)], 'a.jpg')
    convert_voc(tmp_path)
    item = read(tmp_path / 'train.json')['annotations'][0]
    assert item['segmentation'] == [[4, 6, 24, 6, 24, 16]]
    assert item['area'] == 100


def test_boxes__are_clipped_and_empty_ones_left_out(tmp_path, capsys):
    write_images(tmp_path, ['a.jpg'])
    boxes = [(-5, 7, 90, 16), (24, 16, 5, 7), (60, 1, 70, 9)]
    write_xml(tmp_path / 'a.xml', [voc_object('dog', box) for box in boxes], 'a.jpg')
    convert_voc(tmp_path)
    items = read(tmp_path / 'train.json')['annotations']
    assert [item['bbox'] for item in items] == [[0, 6, 48, 10], [4, 6, 20, 10]]
    assert '1 objects without area' in capsys.readouterr().out


def test_missing_size__is_read_from_the_image(tmp_path):
    write_images(tmp_path, ['a.jpg'])
    write_xml(tmp_path / 'a.xml', OBJECTS, 'a.jpg', size=(0, 0))
    convert_voc(tmp_path)
    assert read(tmp_path / 'train.json')['images'][0]['width'] == 48


def test_turned_image__has_the_size_that_opencv_loads(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(tmp_path / 'a.jpg', exif=exif)
    write_xml(tmp_path / 'a.xml', OBJECTS, 'a.jpg', size=(0, 0))
    convert_voc(tmp_path)
    image = read(tmp_path / 'train.json')['images'][0]
    assert (image['height'], image['width']) == cv2.imread(str(tmp_path / 'a.jpg')).shape[:2]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    '<annotation><filename>&b;</filename></annotation>'
)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (BOMB, 'a.xml defines entities and is not read'),
        ('<annotation>', 'a.xml is not valid XML'),
        ('<annotation><object><name>x</name></object></annotation>', 'a.xml: an object has no'),
        (
            '<annotation><object><name>x</name><bndbox><xmin>nan</xmin><xmax>2</xmax></bndbox></object></annotation>',
            "a.xml: <xmin> is 'nan', but must be a number",
        ),
        ('<annotation></annotation>', 'XML files without objects'),
    ],
)
def test_faulty_xml__is_named(tmp_path, text, message):
    write_images(tmp_path, ['a.jpg'])
    (tmp_path / 'a.xml').write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        convert_voc(tmp_path)
    assert not (tmp_path / 'train.json').exists()


def test_size_of_another_image__is_refused(tmp_path):
    write_images(tmp_path, ['a.jpg'])
    write_xml(tmp_path / 'a.xml', OBJECTS, 'a.jpg', size=(480, 400))
    with pytest.raises(ValueError, match=r'states the size \(480, 400\), but .*a.jpg has \(48, 40\)'):
        convert_voc(tmp_path)


def test_missing_files__are_counted_and_named(voc):
    (voc / 'JPEGImages/b.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 XML files have no image, the first is .*b.xml'):
        convert_voc(voc)
    (voc / 'Annotations/b.xml').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images in .*train.txt have no XML file'):
        convert_voc(voc)


def test_existing_files__are_only_replaced_on_request(voc):
    (voc / 'val.json').write_text('mine')
    with pytest.raises(FileExistsError, match='val.json exists. Use --overwrite'):
        convert_voc(voc)
    assert (voc / 'val.json').read_text() == 'mine'
    convert_voc(voc, overwrite=True)
    assert read(voc / 'val.json')['images']


def test_unknown_class__names_those_of_the_files(voc):
    with pytest.raises(ValueError, match=r"no objects of the classes \['horse'\]. .*\['cat', 'dog'\]"):
        convert_voc(voc, classes=['dog', 'horse'])


def test_tool__prints_the_files_and_reports_errors(voc, capsys, monkeypatch):
    tool = load_tool('voc_to_coco').main
    tool([str(voc)])
    assert f'{voc}/train.json: 2 images, 4 objects, 2 classes' in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        tool([str(voc / 'JPEGImages')])
    assert exit_.value.code == 2
    assert 'has no XML files' in capsys.readouterr().err


def test_missing_parser__names_the_command_that_installs_it(voc, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'defusedxml', None)
    with pytest.raises(SystemExit) as exit_:
        load_tool('voc_to_coco').main([str(voc)])
    assert exit_.value.code == 2
    assert 'pip install defusedxml' in capsys.readouterr().err
