"""Checks of the data sets of a config, on drawn data."""

import json
import shutil
from copy import deepcopy

import pytest
from coco_samples import CONFIG, change, printed, tiny_coco, write
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import DATASETS, TRANSFORMS

from eca_mmdet.apis import load_config
from eca_mmdet.datasets import check_datasets
from eca_mmdet.datasets.dataset_checks import Split, dataset_class, why_not_checked

NAMES = ('circle', 'square', 'triangle')


@DATASETS.register_module()
class OwnFormatDataset(CocoDataset):
    """A user's class that reads something else."""

    def load_data_list(self):
        return []


@DATASETS.register_module()
class OwnStepsDataset(CocoDataset):
    """A user's class that changes what was read."""

    def full_init(self):
        super().full_init()


@TRANSFORMS.register_module()
class LoadMasksOfBoxes(LoadAnnotations):
    """A user's class that draws masks itself."""

    def _load_masks(self, results):
        pass


@DATASETS.register_module()
class OwnClassesDataset(CocoDataset):
    """A user's class that only names its classes."""

    METAINFO = dict(classes=NAMES)


OTHERS = ['VOCDataset', 'XMLDataset', 'LVISV1Dataset', 'LVISV05Dataset', 'OpenImagesDataset',
          'CrowdHumanDataset', 'WIDERFaceDataset', 'CocoPanopticDataset', 'V3DetDataset', 'DSDLDetDataset',
          'MOTChallengeDataset', 'RefCocoDataset', 'ODVGDataset', 'CocoCaptionDataset', 'ReIDDataset',
          'YouTubeVISDataset',
          'ADE20KPanopticDataset', 'Flickr30kDataset', 'OwnFormatDataset', OwnFormatDataset,
          'OwnStepsDataset']  # fmt: skip
LIKE_COCO = ['CocoDataset', 'CityscapesDataset', 'DeepFashionDataset', 'iSAIDDataset',
             'Objects365V1Dataset', 'Objects365V2Dataset', 'ADE20KInstanceDataset',
             'OwnClassesDataset', 'mmdet.CocoDataset']  # fmt: skip


@pytest.mark.parametrize('kind', OTHERS)
def test_other_kind_of_data__passes_with_one_line(data, kind, capsys):
    cfg = load_config(CONFIG)
    dataset = dict(type=kind, ann_file='ImageSets/trainval.txt', data_prefix=dict(sub_data_root='VOC2007/'))
    cfg.train_dataloader.dataset = dataset
    check_datasets(cfg, ['train'])
    assert 'train_dataloader.dataset was not checked: ' in printed(capsys)


@pytest.mark.parametrize('kind', LIKE_COCO)
def test_kind_that_reads_cocos_format__is_checked(kind):
    node = dict(type=kind, ann_file='a.json')
    assert why_not_checked(Split('', node, dataset_class(node, ''), True)) == ''


def test_unknown_kind__is_named(cfg):
    cfg.train_dataloader.dataset.type = 'CocoDatset'
    with pytest.raises(KeyError, match='train_dataloader.dataset.type is .*CocoDatset.*custom_imports'):
        check_datasets(cfg, ['train'])


@pytest.mark.parametrize(
    'change',
    [
        dict(data_root='s3://bucket/coco/'),
        dict(backend_args=dict(backend='petrel')),
        dict(ann_file='https://example.org/a.json'),
    ],
)
def test_data_elsewhere__passes_with_one_line(cfg, change, capsys):
    cfg.train_dataloader.dataset.update(change)
    check_datasets(cfg, ['train'])
    assert 'not checked: its annotations are not on the local disk' in printed(capsys)


def test_absolute_paths__need_no_data_root(data, cfg):
    cfg.train_dataloader.dataset.update(
        data_root='/nowhere/',
        ann_file=str(data / 'annotations/instances_train2017.json'),
        data_prefix=dict(img=str(data / 'train2017')),
    )
    check_datasets(cfg, ['train'])


def test_empty_ann_file__is_refused(cfg):
    cfg.train_dataloader.dataset.ann_file = ''
    with pytest.raises(FileNotFoundError, match="annotation file '' of train_dataloader.dataset"):
        check_datasets(cfg, ['train'])


def wrappers(dataset):
    concat = dict(type='ConcatDataset', datasets=[deepcopy(dataset), deepcopy(dataset)])
    return [
        dict(type='RepeatDataset', times=2, dataset=dataset),
        dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=dataset),
        dict(type='MultiImageMixDataset', pipeline=[], dataset=dataset),
        dict(type='RepeatDataset', times=2, dataset=concat),
    ]


@pytest.mark.parametrize('index', range(4))
def test_data_below_a_wrapper__is_checked(data, cfg, index):
    cfg.train_dataloader.dataset = wrappers(cfg.train_dataloader.dataset)[index]
    check_datasets(cfg, ['train'])
    (data / 'train2017/000002.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'000002.jpg, the first of 1 .*dataset\.?.*data_prefix.img'):
        check_datasets(cfg, ['train'])


def test_concatenation_with_another_format__checks_what_is_understood(data, cfg, capsys):
    other = dict(type='VOCDataset', data_root='VOC', ann_file='a.txt')
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[other, cfg.train_dataloader.dataset])
    check_datasets(cfg, ['train'])
    assert 'train_dataloader.dataset.datasets.0 was not checked' in printed(capsys)
    shutil.rmtree(data / 'train2017')
    with pytest.raises(FileNotFoundError, match='datasets.1.data_prefix.img=FOLDER'):
        check_datasets(cfg, ['train'])


def test_train_set_that_its_filter_empties__is_refused(data, cfg):
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    change(data, 'train', lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match='leaves nothing to train_dataloader.dataset: none of its 8 images'):
        check_datasets(cfg, ['train'])


def test_train_set_of_background_only__is_said(data, cfg, capsys):
    cfg.train_dataloader.dataset.filter_cfg = None
    change(data, 'train', lambda content: content.update(annotations=[]))
    check_datasets(cfg, ['train'])
    assert 'no annotation that can be learned from' in printed(capsys)


def test_mask_head__needs_a_pipeline_that_loads_masks(cfg):
    for transform in cfg.train_dataloader.dataset.pipeline:
        transform.pop('with_mask', None)
    with pytest.raises(ValueError, match='mask_head learns from masks.* loads none: set with_mask=True'):
        check_datasets(cfg, ['train'])
    cfg.model.roi_head.mask_head = None
    check_datasets(cfg, ['train'])


def test_mask_head__needs_masks_in_training_and_evaluation(data, cfg):
    def strip(content):
        for annotation in content['annotations']:
            del annotation['segmentation']

    for split in ('train', 'val'):
        change(data, split, strip)
        with pytest.raises(ValueError, match='annotations without segmentation, which the mask head'):
            check_datasets(cfg, [split])
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
        ]
    cfg.model.roi_head.mask_head = None
    check_datasets(cfg, ['train'])
    with pytest.raises(ValueError, match='the evaluation of masks compares with'):
        check_datasets(cfg, ['val'])


def test_masks_that_others_make__need_no_segmentation(data, cfg):
    change(data, 'train', lambda content: [item.pop('segmentation') for item in content['annotations']])
    loads = cfg.train_dataloader.dataset.pipeline[1]
    assert loads.type == 'LoadAnnotations'
    loads.type = 'LoadMasksOfBoxes'
    check_datasets(cfg, ['train'])


def test_objects365__numbers_categories_by_id(tmp_path):
    content = tiny_coco()
    content['categories'].reverse()
    dataset = dict(
        type='Objects365V1Dataset', ann_file=str(write(tmp_path / 'a.json', content)), pipeline=[],
        data_prefix=dict(img=''), metainfo=dict(classes=('circle', 'square')),
    )  # fmt: skip
    cfg = load_config(
        CONFIG, {'model.roi_head.bbox_head.num_classes': 2, 'model.roi_head.mask_head.num_classes': 2}
    )
    cfg.train_dataloader.dataset = dataset
    check_datasets(cfg, ['train'])
    cfg.train_dataloader.dataset.type = 'CocoDataset'
    with pytest.raises(ValueError, match='another order'):
        check_datasets(cfg, ['train'])


@pytest.mark.parametrize('other', ['train', 'val'])
def test_class_with_two_labels__is_refused(data, cfg, other):
    second = deepcopy(cfg.train_dataloader.dataset)
    path = data / 'annotations/other.json'
    shutil.copy(data / 'annotations/instances_train2017.json', path)
    content = json.loads(path.read_text())
    content['categories'].reverse()
    path.write_text(json.dumps(content))
    second.update(ann_file=str(path), metainfo=dict(classes=NAMES[::-1]))
    if other == 'train':
        second = dict(type='ConcatDataset', datasets=[cfg.train_dataloader.dataset, second])
    cfg[f'{other}_dataloader'].dataset = second
    cfg.val_evaluator = dict(type='CocoMetric')
    with pytest.raises(ValueError, match='numbers its classes in another way than train_dataloader.dataset'):
        check_datasets(cfg, ['train', 'val'])
