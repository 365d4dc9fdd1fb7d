"""Folders in COCO format: which files, images and classes are found, and what is refused."""

import json

import pytest
from coco_layouts import (
    NAMES,
    TRAIN,
    VAL,
    as_coco,
    as_plain,
    as_roboflow,
    coco_content,
    write_images,
    write_split,
)

from eca_mmdet.datasets.coco_folder import find_coco_folder


def paths(found):
    """Return annotation file and image folder of each split, relative to the root."""
    return {
        name: (str(split.source.relative_to(found.root)), str(split.images.relative_to(found.root)))
        for name, split in found.splits.items()
    }


def test_cocos_layout__gives_each_split_its_own_images(tmp_path):
    found = find_coco_folder(as_coco(tmp_path))
    assert paths(found) == {
        'train': ('annotations/instances_train2017.json', 'train2017'),
        'val': ('annotations/instances_val2017.json', 'val2017'),
    }
    assert found.classes == NAMES
    assert not any(split.corrections for split in found.splits.values())


def test_roboflows_layout__has_no_supercategory_and_annotations_from_1(tmp_path):
    found = find_coco_folder(as_roboflow(tmp_path))
    assert paths(found)['val'] == ('valid/_annotations.coco.json', 'valid')
    assert set(found.splits) == {'train', 'val', 'test'}
    assert found.classes == NAMES
    content = json.loads(found.splits['val'].write(tmp_path / 'x.json').read_text())
    assert [item['id'] for item in content['annotations']] == [1, 2, 3]


def test_supercategory__with_the_name_of_a_class_is_not_a_second_class(tmp_path):
    def one_class(content):
        content['categories'] = [
            dict(id=0, name='cell', supercategory='none'),
            dict(id=1, name='cell', supercategory='cell'),
        ]
        for item in content['annotations']:
            item['category_id'] = 1

    for split in ('train', 'valid'):
        write_split(tmp_path / split / '_annotations.coco.json', tmp_path / split, TRAIN, edit=one_class)
    assert find_coco_folder(tmp_path).classes == ('cell',)


def test_unused_category__that_is_not_a_supercategory_stays(tmp_path):
    def unused(content):
        content['categories'].append(dict(id=9, name='cells', supercategory='none'))

    as_coco(tmp_path)
    for split, names in (('train', TRAIN), ('val', VAL)):
        ann_file = tmp_path / f'annotations/instances_{split}2017.json'
        write_split(ann_file, tmp_path / f'{split}2017', names, edit=unused)
    assert find_coco_folder(tmp_path).classes == (*NAMES, 'cells')


@pytest.mark.parametrize('images', ['', 'images', 'data', 'img/all'])
def test_plain_layout__finds_shared_image_folders(tmp_path, images):
    found = find_coco_folder(as_plain(tmp_path, images))
    assert paths(found)['train'] == ('train.json', images or '.')


@pytest.mark.parametrize('folder', ['images/{}', '{}', '{}/images', 'images/{}2017'])
def test_plain_layout__finds_image_folders_of_splits(tmp_path, folder):
    for split, names in (('train', TRAIN), ('val', VAL)):
        write_split(tmp_path / 'annotations' / f'{split}.json', tmp_path / folder.format(split), names)
    assert paths(find_coco_folder(tmp_path))['val'] == ('annotations/val.json', folder.format('val'))


def test_file_names_with_folders__are_relative_to_the_root(tmp_path):
    for split, names in (('train', TRAIN), ('val', VAL)):
        write_split(
            tmp_path / f'{split}.json', tmp_path / 'JPEGImages' / split, names, f'JPEGImages/{split}/'
        )
    assert paths(find_coco_folder(tmp_path))['val'] == ('val.json', '.')


def test_file_names_of_another_machine__lose_their_folder(tmp_path):
    for split, names in (('train', TRAIN), ('val', VAL)):
        write_split(tmp_path / f'{split}.json', tmp_path / split, names, 'C:\\Users\\me\\')
    split = find_coco_folder(tmp_path).splits['val']
    assert split.images.name == 'val'
    assert [image['file_name'] for image in split.content['images']] == list(VAL)


def test_images_of_another_split__are_not_used_for_missing_ones(tmp_path):
    write_split(tmp_path / 'train.json', tmp_path / 'train', TRAIN)
    (tmp_path / 'val.json').write_text(json.dumps(coco_content(TRAIN)))
    with pytest.raises(FileNotFoundError, match=r"images of .*val.json were not found. .*'1.jpg'"):
        find_coco_folder(tmp_path)


def test_missing_image__is_named(tmp_path):
    (as_coco(tmp_path) / 'val2017/5.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images of .*val2017.json are not in .*5.jpg'):
        find_coco_folder(tmp_path)


def test_missing_fields__are_completed_in_a_copy_and_the_file_stays(tmp_path):
    def strip(content):
        for item in content['annotations']:
            del item['iscrowd'], item['area']

    write_split(tmp_path / 'val.json', tmp_path / 'val', VAL)
    write_split(tmp_path / 'train.json', tmp_path / 'train', TRAIN, edit=strip)
    split = find_coco_folder(tmp_path).splits['train']
    assert split.corrections == ['3 annotations got iscrowd = 0', '3 annotations got area = width * height']
    assert split.write(tmp_path / 'work/train.json') == tmp_path / 'work/train.json'
    copy = json.loads((tmp_path / 'work/train.json').read_text())
    assert {(item['iscrowd'], item['area']) for item in copy['annotations']} == {(0, 200)}
    assert 'area' not in json.loads((tmp_path / 'train.json').read_text())['annotations'][0]


def test_other_order_of_classes__becomes_that_of_training(tmp_path):
    def reverse(content):
        content['categories'].reverse()

    write_split(tmp_path / 'train.json', tmp_path / 'train', TRAIN)
    write_split(tmp_path / 'val.json', tmp_path / 'val', VAL, edit=reverse)
    categories = find_coco_folder(tmp_path).splits['val'].content['categories']
    assert [(item['id'], item['name']) for item in categories] == list(enumerate(NAMES, 1))


def test_class_without_validation_objects__is_added(tmp_path):
    def without(content):
        content['categories'].pop(1)
        content['annotations'].pop(1)

    write_split(tmp_path / 'train.json', tmp_path / 'train', TRAIN)
    write_split(tmp_path / 'val.json', tmp_path / 'val', VAL, edit=without)
    categories = find_coco_folder(tmp_path).splits['val'].content['categories']
    assert [item['name'] for item in categories] == list(NAMES)
    assert len({item['id'] for item in categories}) == 3


@pytest.mark.parametrize(
    ('categories', 'message'),
    [
        (['RBC', 'WBC', 'cells'], r"classes that .*train.json does not have: \['cells'\]"),
        (['RBC', 'WBC', 'RBC'], r"2 categories with the name 'RBC' \(ids \[1, 3\]\)"),
        (['RBC', 'WBC', ''], "a category with the name ''"),
        (['RBC', 'WBC', 7], 'a category with the name 7'),
    ],
)
def test_unusable_classes__are_refused(tmp_path, categories, message):
    def rename(content):
        for category, name in zip(content['categories'], categories):
            category['name'] = name

    write_split(tmp_path / 'train.json', tmp_path / 'train', TRAIN)
    write_split(tmp_path / 'val.json', tmp_path / 'val', VAL, edit=rename)
    with pytest.raises(ValueError, match=message):
        find_coco_folder(tmp_path)


def test_test_split__replaces_a_missing_validation_split(tmp_path, capsys):
    as_roboflow(tmp_path)
    (tmp_path / 'valid/_annotations.coco.json').unlink()
    assert paths(find_coco_folder(tmp_path))['val'] == ('test/_annotations.coco.json', 'test')
    assert 'has no validation split. The test split' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['train.json', 'annotations/instances_default.json', 'result.json'])
def test_single_file__asks_for_a_fraction_to_validate_on(tmp_path, name):
    write_split(tmp_path / name, tmp_path / 'images', TRAIN)
    with pytest.raises(ValueError, match=rf'has one annotation file, {name}.*\n    --val-fraction 0.2'):
        find_coco_folder(tmp_path)


def test_val_fraction__splits_all_images_in_the_same_way_each_time(tmp_path):
    names = write_images(tmp_path / 'images', [f'{number}.jpg' for number in range(10)])
    content = coco_content(names)
    (tmp_path / 'train.json').write_text(json.dumps(content))
    found = find_coco_folder(tmp_path, 0.3)
    ids = {name: {image['id'] for image in split.content['images']} for name, split in found.splits.items()}
    assert len(ids['val']) == 3
    assert ids['train'] | ids['val'] == set(range(1, 11))
    for name, split in found.splits.items():
        assert {item['image_id'] for item in split.content['annotations']} == ids[name]
    content['images'].reverse()
    (tmp_path / 'train.json').write_text(json.dumps(content))
    again = find_coco_folder(tmp_path, 0.3).splits['val'].content['images']
    assert {image['id'] for image in again} == ids['val']


def test_val_fraction__keeps_augmented_versions_of_an_image_together(tmp_path):
    names = [f'{number}_jpg.rf.{version}.jpg' for number in range(6) for version in 'ab']
    write_split(tmp_path / 'train.json', tmp_path / 'images', names)
    val = find_coco_folder(tmp_path, 0.34).splits['val'].content['images']
    stems = [image['file_name'].split('.rf.')[0] for image in val]
    assert len(stems) == 4
    assert len(set(stems)) == 2


@pytest.mark.parametrize(('fraction', 'message'), [(0, 'between 0 and 1'), (1.5, 'between 0 and 1')])
def test_val_fraction__out_of_range_is_refused(tmp_path, fraction, message):
    write_split(tmp_path / 'train.json', tmp_path / 'images', TRAIN)
    with pytest.raises(ValueError, match=message):
        find_coco_folder(tmp_path, fraction)


def test_val_fraction__with_a_validation_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match='is for folders with training images only'):
        find_coco_folder(as_coco(tmp_path), 0.2)


def test_several_files_for_a_split__are_named(tmp_path):
    as_coco(tmp_path)
    write_split(tmp_path / 'annotations/instances_train2014.json', tmp_path / 'train2014', TRAIN)
    with pytest.raises(ValueError, match='several annotation files for train: .*2014.json, .*2017.json'):
        find_coco_folder(tmp_path)


@pytest.mark.parametrize(
    ('file', 'message'),
    [
        (None, 'JSON files found: none. Folders found: none'),
        ('Annotations/1.xml', 'python tools/voc_to_coco.py'),
        ('data.yaml', 'python tools/yolo_to_coco.py'),
        ('train/1.json', 'JSON files found: train/1.json. Folders found: train'),
    ],
)
def test_folder_without_coco_files__says_what_was_found_and_what_is_allowed(tmp_path, file, message):
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text('{}')
    with pytest.raises(FileNotFoundError, match=r'\(Roboflow\)') as caught:
        find_coco_folder(tmp_path)
    assert message in str(caught.value)


def test_missing_folder_and_archive__are_named(tmp_path):
    (tmp_path / 'data.zip').touch()
    with pytest.raises(FileNotFoundError, match='does not exist'):
        find_coco_folder(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='Unpack it first'):
        find_coco_folder(tmp_path / 'data.zip')


def test_image_in_two_splits__is_a_warning(tmp_path, capsys):
    write_split(tmp_path / 'train.json', tmp_path / 'images', TRAIN)
    write_split(tmp_path / 'val.json', tmp_path / 'images', VAL)
    find_coco_folder(tmp_path)
    assert '1 images are in the training set and in' in capsys.readouterr().out


def test_masks__count_only_if_every_object_has_one(tmp_path):
    assert find_coco_folder(as_coco(tmp_path / 'a', with_masks=True)).has_masks
    assert not find_coco_folder(as_coco(tmp_path / 'b')).has_masks
