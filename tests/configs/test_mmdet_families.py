"""Run the checks of tools/train.py on a config of every mmdet family with ``ECAResNet`` as the backbone."""

import importlib.util
import json
from functools import lru_cache
from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from eca_mmdet.apis import check_run

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'
FAMILIES = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name != '_base_')
NO_RESNET = {
    *('bytetrack', 'deepsort', 'ocsort', 'strongsort'),  # trackers, which do not train a detector
    *('convnext', 'detectors', 'efficientnet', 'hrnet', 'pvt', 'regnet', 'res2net', 'resnest', 'swin'),
    *('timm_example', 'tridentnet'),  # detectors of other families with other backbones
    *('centripetalnet', 'cornernet', 'glip', 'mm_grounding_dino', 'reid', 'ssd'),
    *('rtmdet', 'yolo', 'yolox'),  # see OTHER_NECKS
    *('misc', 'common'),
}
"""Families without a config that trains a detector with mmdet's ResNet."""
MISSING_DEPENDENCIES = {
    'albu_example': 'albumentations',
    'boxinst': 'skimage',
    'dsdl': 'dsdl',
    'grounding_dino': 'fairscale',
    'instaboost': 'instaboostfast',
    'lvis': 'lvis',
    'maskformer': 'panopticapi',
    'panoptic_fpn': 'panopticapi',
    'seesaw_loss': 'lvis',
    'simple_copy_paste': 'process group',  # SyncBN in the heads needs a distributed launcher
    'strong_baselines': 'process group',
    'v3det': 'category_name_13204_v3det_2023_v1',  # a file of its dataset
}
"""What a family needs in addition to mmdet's own dependencies, mostly packages."""
OTHER_NECKS = {
    'rtmdet/rtmdet_s_8xb32-300e_coco.py': [512, 1024, 2048],
    'yolo/yolov3_d53_8xb8-320-273e_coco.py': [2048, 1024, 512],
    'yolox/yolox_s_8xb8-300e_coco.py': [512, 1024, 2048],
}
"""Detectors without a ResNet whose neck accepts three ResNet stages, with their ``neck.in_channels``."""


@lru_cache(None)
def resnet_config(family):
    """Return a family's config with mmdet's ResNet, preferably a ResNet-50 and a short name."""
    paths = sorted((CONFIGS / family).glob('*.py'), key=lambda path: ('r50' not in path.name, len(path.name)))
    for path in paths:
        try:
            cfg = Config.fromfile(path)
        except (FileNotFoundError, ImportError):  # needs a library or a file that is not installed
            continue
        if (
            'model' in cfg
            and cfg.get('train_dataloader')
            and detector_of(cfg).get('backbone', {}).get('type') == 'ResNet'
        ):
            return path
    return None


def detector_of(cfg):
    """Return the config of the detector, which is nested in semi-supervised models and trackers."""
    return cfg.model.get('detector') or cfg.model


def leaf_datasets(node):
    if 'dataset' in node:
        return leaf_datasets(node['dataset'])
    if 'datasets' in node:
        return [leaf for inner in node['datasets'] for leaf in leaf_datasets(inner)]
    return [node]


def classes_of(dataset):
    named = (dataset.get('metainfo') or {}).get('classes')
    classes = named or DATASETS.get(dataset['type']).METAINFO.get('classes') or 'a'
    return [classes] if isinstance(classes, str) else list(classes)


def coco_json(classes, panoptic):
    """Return COCO annotations of one image with one object of the first class."""
    boxed = dict(category_id=1, bbox=[4, 4, 40, 40], area=1600, iscrowd=0)
    polygon = dict(id=1, image_id=1, segmentation=[[4, 4, 44, 4, 44, 44, 4, 44]], **boxed)
    segments = dict(image_id=1, file_name='1.png', segments_info=[dict(id=1, **boxed)])
    lvis = dict(neg_category_ids=[], not_exhaustive_category_ids=[])
    image = dict(id=1, file_name='1.jpg', width=64, height=64, **lvis)
    return dict(
        images=[image],
        annotations=[segments if panoptic else polygon],
        categories=[dict(id=i, name=name, isthing=int(i <= 80)) for i, name in enumerate(classes, 1)],
    )


def use_tiny_data(cfg, root):
    """Write tiny annotation files to ``root`` and use them for all datasets of a config."""
    cv2.imwrite(str(root / '1.jpg'), np.zeros((64, 64, 3), np.uint8))
    for split in ('train', 'val', 'test'):
        if not cfg.get(f'{split}_dataloader'):
            continue
        for number, dataset in enumerate(leaf_datasets(cfg[f'{split}_dataloader'].dataset)):
            dataset['data_root'] = f'{root}/'
            if str(dataset.get('ann_file', '')).endswith('.json'):
                name = f'{split}{number}.json'
                panoptic = 'Panoptic' in dataset['type']
                (root / name).write_text(json.dumps(coco_json(classes_of(dataset), panoptic)))
                dataset.update(ann_file=name, data_prefix=dict(img='', seg=''))
                evaluators = cfg.get(f'{split}_evaluator') or []
                for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
                    if evaluator.get('ann_file'):
                        evaluator['ann_file'] = f'{root}/{name}'
            elif dataset.get('ann_file'):
                path = root / dataset['ann_file']  # not COCO; an empty file is enough
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


def check_with_eca(cfg, root, **backbone):
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    use_tiny_data(cfg, root)
    cfg.work_dir = str(root / 'work')
    cfg.optim_wrapper.type = 'OptimWrapper'  # mmengine's mixed precision needs a GPU
    cfg.model.pop('teacher_ckpt', None)  # would be downloaded for distillation
    detector_of(cfg).backbone = backbone
    check_run(cfg, 'train')


def family_check(family, root):
    """Check a config of the family with ECA in its ResNet."""
    path = resnet_config(family)
    assert path, f'{family} has no config with a ResNet: list it in NO_RESNET'
    cfg = Config.fromfile(path)
    (root / 'configs').symlink_to(CONFIGS)  # distilled detectors look for teacher_config here
    check_with_eca(cfg, root, **{**detector_of(cfg).backbone, 'type': 'ECAResNet', 'init_cfg': None})


@pytest.mark.parametrize('family', [name for name in FAMILIES if name not in NO_RESNET])
def test_family__with_eca_passes_all_checks_unless_a_dependency_is_missing(family, in_tmp):
    needed = MISSING_DEPENDENCIES.get(family)
    if needed and not (needed.isidentifier() and importlib.util.find_spec(needed)):
        with pytest.raises(ValueError, match=needed):
            family_check(family, in_tmp)
    elif family == 'cascade_rpn':  # mmdet 3.3 cannot build its own config
        with pytest.raises(ValueError, match=r'model\.rpn_head .*num_classes'):
            family_check(family, in_tmp)
    else:
        family_check(family, in_tmp)


@pytest.mark.parametrize('name', OTHER_NECKS)
def test_detector_without_a_resnet__accepts_eca(name, in_tmp):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.model.neck.in_channels = OTHER_NECKS[name]
    check_with_eca(cfg, in_tmp, type='ECAResNet', depth=50, out_indices=(1, 2, 3))


@pytest.mark.skipif(mmdet.__version__ != '3.3.0', reason='the list belongs to mmdet 3.3.0')
def test_families_without_a_resnet__match_the_list():
    assert {name for name in FAMILIES if resnet_config(name) is None} == NO_RESNET & set(FAMILIES)
