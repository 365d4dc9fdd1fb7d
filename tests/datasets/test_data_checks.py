"""Checks of the datasets of a config."""

import json
import shutil
from copy import deepcopy

import pytest
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import DATASETS, TRANSFORMS
from tiny_coco import CONFIG, change, printed, tiny_coco, write

from eca_mmdet.apis import load_config
from eca_mmdet.datasets.coco_readers import unsupported_reason
from eca_mmdet.datasets.config_datasets import Split, dataset_class
from eca_mmdet.datasets.dataset_checks import check_datasets

NAMES = ('circle', 'square', 'triangle')


@DATASETS.register_module()
class CustomFormatDataset(CocoDataset):
    """Custom class that reads another format."""

    def load_data_list(self):
        return []


@DATASETS.register_module()
class CustomLoadingDataset(CocoDataset):
    """Custom class that changes the loaded data."""

    def full_init(self):
        super().full_init()


@TRANSFORMS.register_module()
class LoadMasksFromBoxes(LoadAnnotations):
    """Custom class that creates masks itself."""

    def _load_masks(self, results):
        pass


@DATASETS.register_module()
class CustomClassesDataset(CocoDataset):
    """Custom class that only sets its classes."""

    METAINFO = dict(classes=NAMES)


UNSUPPORTED = ['VOCDataset', 'XMLDataset', 'LVISV1Dataset', 'LVISV05Dataset', 'OpenImagesDataset',
          'CrowdHumanDataset', 'WIDERFaceDataset', 'V3DetDataset', 'DSDLDetDataset',
          'MOTChallengeDataset', 'RefCocoDataset', 'ODVGDataset', 'CocoCaptionDataset', 'ReIDDataset',
          'YouTubeVISDataset',
          'Flickr30kDataset', 'CustomFormatDataset', CustomFormatDataset,
          'CustomLoadingDataset']  # fmt: skip
SUPPORTED = ['CocoDataset', 'CityscapesDataset', 'DeepFashionDataset', 'iSAIDDataset',
             'Objects365V1Dataset', 'Objects365V2Dataset', 'ADE20KInstanceDataset',
             'CocoPanopticDataset', 'ADE20KPanopticDataset',
             'CustomClassesDataset', 'mmdet.CocoDataset']  # fmt: skip


@pytest.mark.parametrize('kind', UNSUPPORTED)
def test_unsupported_dataset__passes_with_a_warning(data, kind, capsys):
    cfg = load_config(CONFIG)
    dataset = dict(type=kind, ann_file='ImageSets/trainval.txt', data_prefix=dict(sub_data_root='VOC2007/'))
    cfg.train_dataloader.dataset = dataset
    check_datasets(cfg, ['train'])
    assert 'train_dataloader.dataset was not checked: ' in printed(capsys)


@pytest.mark.parametrize('kind', SUPPORTED)
def test_coco_dataset__is_supported(kind):
    node = dict(type=kind, ann_file='a.json')
    assert unsupported_reason(Split('', node, dataset_class(node, ''), True)) == ''


def test_unknown_dataset_class__is_reported(cfg):
    cfg.train_dataloader.dataset.type = 'CocoDatset'
    with pytest.raises(KeyError, match='train_dataloader.dataset.type is .*CocoDatset.*custom_imports'):
        check_datasets(cfg, ['train'])


@pytest.mark.parametrize(
    'settings',
    [
        dict(data_root='s3://bucket/coco/'),
        dict(backend_args=dict(backend='petrel')),
        dict(ann_file='https://example.org/a.json'),
    ],
)
def test_remote_data__passes_with_a_warning(cfg, settings, capsys):
    cfg.train_dataloader.dataset.update(settings)
    check_datasets(cfg, ['train'])
    assert 'not checked: its annotations are not on the local disk' in printed(capsys)


def test_absolute_paths__need_no_data_root(data, cfg):
    cfg.train_dataloader.dataset.update(
        data_root='/nowhere/',
        ann_file=str(data / 'annotations/instances_train2017.json'),
        data_prefix=dict(img=str(data / 'train2017')),
    )
    check_datasets(cfg, ['train'])


def test_empty_ann_file__is_rejected(cfg):
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
def test_wrapped_dataset__is_checked(data, cfg, index):
    cfg.train_dataloader.dataset = wrappers(cfg.train_dataloader.dataset)[index]
    check_datasets(cfg, ['train'])
    (data / 'train2017/000002.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 images .*000002.jpg.*dataset\.?.*data_prefix.img'):
        check_datasets(cfg, ['train'])


def test_concatenation_with_another_format__checks_the_coco_part(data, cfg, capsys):
    other = dict(type='VOCDataset', data_root='VOC', ann_file='a.txt')
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[other, cfg.train_dataloader.dataset])
    check_datasets(cfg, ['train'])
    assert 'train_dataloader.dataset.datasets.0 was not checked' in printed(capsys)
    shutil.rmtree(data / 'train2017')
    with pytest.raises(FileNotFoundError, match='datasets.1.data_prefix.img=FOLDER'):
        check_datasets(cfg, ['train'])


def test_training_set_without_images_after_filtering__is_rejected(data, cfg):
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    change(data, 'train', lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match='has no images for train_dataloader.dataset: none of its 8 images'):
        check_datasets(cfg, ['train'])


def test_training_set_without_annotations__is_warned_about(data, cfg, capsys):
    cfg.train_dataloader.dataset.filter_cfg = None
    change(data, 'train', lambda content: content.update(annotations=[]))
    check_datasets(cfg, ['train'])
    assert 'no annotation to train on' in printed(capsys)


def test_mask_head__needs_a_pipeline_that_loads_masks(cfg):
    for transform in cfg.train_dataloader.dataset.pipeline:
        transform.pop('with_mask', None)
    with pytest.raises(ValueError, match='mask_head needs masks.* does not load masks. Set with_mask=True'):
        check_datasets(cfg, ['train'])
    cfg.model.roi_head.mask_head = None
    check_datasets(cfg, ['train'])


def test_mask_head__needs_masks_in_training_and_evaluation(data, cfg):
    def strip(content):
        for annotation in content['annotations']:
            del annotation['segmentation']

    for split in ('train', 'val'):
        change(data, split, strip)
        with pytest.raises(ValueError, match='annotations without segmentation, which is needed to train'):
            check_datasets(cfg, [split])
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
        ]
    cfg.model.roi_head.mask_head = None
    check_datasets(cfg, ['train'])
    with pytest.raises(ValueError, match='which is needed to evaluate masks'):
        check_datasets(cfg, ['val'])


def test_masks_from_a_custom_transform__need_no_segmentation(data, cfg):
    change(data, 'train', lambda content: [item.pop('segmentation') for item in content['annotations']])
    transform = cfg.train_dataloader.dataset.pipeline[1]
    assert transform.type == 'LoadAnnotations'
    transform.type = 'LoadMasksFromBoxes'
    check_datasets(cfg, ['train'])


def test_objects365__orders_categories_by_id(tmp_path):
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
def test_class_with_two_labels__is_rejected(data, cfg, other):
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
    with pytest.raises(
        ValueError, match='and train_dataloader.dataset.* have different labels for the class'
    ):
        check_datasets(cfg, ['train', 'val'])
