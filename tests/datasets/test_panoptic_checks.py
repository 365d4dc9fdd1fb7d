"""Checks of datasets in COCO's panoptic format."""

import json
import shutil
from copy import deepcopy

import cv2
import numpy as np
import pytest
from panoptic_data import CLASSES, make_panoptic
from tiny_coco import printed

from eca_mmdet.apis import load_config
from eca_mmdet.datasets.dataset_checks import check_datasets

SPLITS = ['train', 'val']
HEADS = {
    'model.roi_head.bbox_head.num_classes': 2,
    'model.roi_head.mask_head.num_classes': 2,
    'model.semantic_head.num_things_classes': 2,
    'model.semantic_head.num_stuff_classes': 2,
    'model.panoptic_fusion_head.num_things_classes': 2,
    'model.panoptic_fusion_head.num_stuff_classes': 2,
}


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    return make_panoptic(tmp_path_factory.mktemp('panoptic'))


@pytest.fixture
def data(original, tmp_path):
    return shutil.copytree(original, tmp_path / 'data')


@pytest.fixture(scope='module')
def loaded():
    return load_config('eca_mmdet::panoptic_fpn_ecanet50_fpn_1x.py', {'data_root': 'data', **HEADS})


@pytest.fixture
def cfg(data, loaded):
    cfg = deepcopy(loaded)
    for split in SPLITS:
        cfg[f'{split}_dataloader'].dataset.update(data_root=f'{data}/', metainfo=dict(classes=CLASSES))
    cfg.val_evaluator.update(
        ann_file=f'{data}/annotations/panoptic_val2017.json',
        seg_prefix=f'{data}/annotations/panoptic_val2017/',
    )
    return cfg


def change(data, split, edit):
    path = data / f'annotations/panoptic_{split}2017.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_intact_dataset__passes_without_warning(cfg, capsys):
    check_datasets(cfg, SPLITS)
    assert 'not checked' not in printed(capsys)


def test_data_root__moves_the_files_of_the_evaluator(loaded):
    assert loaded.val_evaluator.seg_prefix == 'data/annotations/panoptic_val2017/'
    assert loaded.val_evaluator.ann_file == 'data/annotations/panoptic_val2017.json'


@pytest.mark.parametrize(
    ('part', 'change_', 'message'),
    [
        (
            'category',
            lambda record: record.pop('isthing'),
            'categories whose isthing is not 0 or 1: 1, first id 3',
        ),
        ('image', lambda record: record.pop('file_name'), "annotations that are not complete ('file_name')"),
        ('image', lambda record: record.update(image_id=99), 'annotations whose image_id is not in images'),
        ('image', lambda record: record.update(file_name='x.png'), 'annotations whose file_name is not that'),
        ('segment', lambda record: record.pop('area'), 'segments without area: 1, first id 7'),
        ('segment', lambda record: record.update(category_id=5), 'whose category_id is not in categories'),
        ('segment', lambda record: record.update(id=0), 'with the id 0, which means unlabelled'),
    ],
)
def test_faulty_record__is_reported(data, cfg, part, change_, message):
    def edit(content):
        image = content['annotations'][0]
        records = dict(category=content['categories'][0], image=image, segment=image['segments_info'][0])
        change_(records[part])

    change(data, 'train', edit)
    with pytest.raises(ValueError, match='faulty records') as error:
        check_datasets(cfg, SPLITS)
    assert message in str(error.value)


def test_image_without_annotation__cannot_be_evaluated(data, cfg):
    for split in SPLITS:
        change(data, split, lambda content: content['annotations'].pop())
    check_datasets(cfg, ['train'])  # mmdet removes it by filter_cfg
    with pytest.raises(ValueError, match='images without an annotation: 1, first id 2'):
        check_datasets(cfg, ['val'])


def test_instance_annotations__are_rejected(data, cfg):
    def to_instances(content):
        content['annotations'] = [dict(id=1, image_id=1, category_id=3, bbox=[0, 0, 9, 9])]

    change(data, 'train', to_instances)
    with pytest.raises(ValueError, match='is not a panoptic annotation file: .* no segments_info'):
        check_datasets(cfg, SPLITS)


def test_missing_png_file__is_reported(data, cfg):
    (data / 'annotations/panoptic_train2017/2.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'1 of 4 panoptic PNG files .*2.png.*data_prefix.seg=FOLDER/'
    ):
        check_datasets(cfg, SPLITS)


def test_missing_image__is_reported(data, cfg):
    (data / 'train2017/2.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 images .*2.jpg'):
        check_datasets(cfg, SPLITS)


@pytest.mark.parametrize(
    ('png', 'message'),
    [
        (np.zeros((64, 64), np.uint8), 'does not have the segments of the annotation file'),
        (np.zeros((32, 64, 3), np.uint8), r'has height and width \(32, 64\), but the image has \(64, 64\)'),
    ],
)
def test_png_file_with_other_content__is_rejected(data, cfg, png, message):
    cv2.imwrite(str(data / 'annotations/panoptic_train2017/1.png'), png)
    with pytest.raises(ValueError, match=message):
        check_datasets(cfg, SPLITS)


def test_stuff_before_things__is_rejected(data, cfg):
    for split in SPLITS:
        change(data, split, lambda content: content['categories'].reverse())
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = CLASSES[::-1]
    with pytest.raises(ValueError, match="lists stuff before things: 'sky' before 'circle'"):
        check_datasets(cfg, SPLITS)


def test_other_order_of_classes__is_rejected(cfg):
    cfg.train_dataloader.dataset.metainfo.classes = ('square', 'circle', 'ground', 'sky')
    with pytest.raises(ValueError, match='lists the classes in another order'):
        check_datasets(cfg, SPLITS)


def test_segments_of_an_unused_category__are_rejected(cfg):
    cfg.train_dataloader.dataset.metainfo.classes = CLASSES[:3]
    with pytest.raises(ValueError, match='segments of a category that .*metainfo.classes lacks'):
        check_datasets(cfg, SPLITS)


@pytest.mark.parametrize('head', HEADS)
def test_head_with_another_number_of_classes__is_rejected(cfg, head):
    cfg.merge_from_dict({head: 7})
    with pytest.raises(ValueError, match=f'{head} is 7, but .*Use --cfg-options {head}=2'):
        check_datasets(cfg, SPLITS)


def test_training_set_without_things__is_rejected(data, cfg):
    def remove_things(content):
        for annotation in content['annotations']:
            for segment in annotation['segments_info']:
                segment['iscrowd'] = 1

    change(data, 'train', remove_things)
    with pytest.raises(ValueError, match='has no thing to train on'):
        check_datasets(cfg, SPLITS)


@pytest.mark.parametrize('field', ['ann_file', 'seg_prefix'])
def test_evaluator_of_other_files__is_rejected(cfg, field):
    cfg.val_evaluator[field] = 'elsewhere'
    with pytest.raises(ValueError, match=f'val_evaluator.{field} is elsewhere, but the dataset uses'):
        check_datasets(cfg, ['val'])


def test_evaluator_of_boxes__passes_with_a_warning(cfg, capsys):
    cfg.val_evaluator = dict(type='CocoMetric')
    check_datasets(cfg, ['val'])
    assert 'val_evaluator was not checked: CocoMetric is not a CocoPanopticMetric' in printed(capsys)
