"""Every segmentation config builds, with the backbone, rate, batch and classes that it promises."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import yaml

pytest.importorskip('mmseg')

from conftest import load_tool  # noqa: E402
from mmengine.model import convert_sync_batchnorm  # noqa: E402

from eca_mmdet.apis import load_config  # noqa: E402
from eca_mmdet.apis.section_checks import check_auto_scale_lr, check_sections  # noqa: E402
from eca_mmdet.meta_device import build_on_meta  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
METHODS = ('fcn', 'pspnet', 'deeplabv3plus', 'upernet', 'semfpn')
DATA = {'cityscapes_80k': (19, 2, 8, 80000, (512, 1024)), 'ade20k_160k': (150, 4, 16, 160000, (512, 512))}
"""Classes, images per GPU, batch of mmseg's rate 0.01, iterations, crop size."""
WEIGHTS = {
    ('ecanet', 50): 'weights/eca_resnet50_k3557.pth',
    ('ecanet', 101): 'weights/eca_resnet101_k3357.pth',
    ('resnet', 50): 'torchvision://resnet50',
    ('resnet', 101): 'torchvision://resnet101',
}
RELEASED = [(method, net, depth, data) for method in METHODS for net, depth in WEIGHTS for data in DATA]
SMALL = {'semfpn_ecanet18_shapes': 4, 'semfpn_ecanet18_nuclei': 2, 'semfpn_ecanet18_coco_mini': 133}


@lru_cache
def read(name):
    return load_config(f'eca_mmdet::segmentation/{name}.py')


def name_of(method, net, depth, data):
    return f'{method}_{net}{depth}_{data}'


def test_folder__has_one_config_per_combination():
    found = {path.stem for path in (ROOT / 'configs/segmentation').glob('*.py')}
    assert found == {name_of(*key) for key in RELEASED} | set(SMALL)


@pytest.mark.parametrize(('method', 'net', 'depth', 'data'), RELEASED)
def test_released_config__trains_at_the_linear_rule_from_its_weights(method, net, depth, data):
    cfg = read(name_of(method, net, depth, data))
    classes, batch, batch_of_mmseg, iterations, size = DATA[data]
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.01 * batch / batch_of_mmseg, momentum=0.9, weight_decay=0.0005
    )
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=batch)
    (schedule,) = cfg.param_scheduler
    assert (schedule.type, schedule.power, schedule.eta_min, schedule.end) == (
        'PolyLR',
        0.9,
        1e-4,
        iterations,
    )
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.model.data_preprocessor['size'] == size == cfg.crop_size
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=WEIGHTS[net, depth])
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'SegmentationMetric'
    assert 'SyncBN' not in str(cfg.model)
    assert cfg.sync_bn == 'torch'
    hooks = [hook['type'] for hook in cfg.custom_hooks]
    assert hooks == ['LearningRateHook', 'NonFiniteLossHook', 'SafeResumeHook', 'LoadedWeightsHook']


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize(('net', 'depth'), WEIGHTS)
@pytest.mark.parametrize('method', METHODS)
def test_released_config__builds_its_model(method, net, depth, data):
    cfg = deepcopy(read(name_of(method, net, depth, data)))
    model = build_on_meta(cfg.model, 'mmseg')
    backbone = model.backbone
    assert (backbone.depth, backbone.norm_eval, backbone.frozen_stages) == (depth, False, -1)
    assert hasattr(backbone.layer1[0], 'eca') == (net == 'ecanet')
    last = [backbone.layer3[-1].conv2.dilation, backbone.layer4[-1].conv2.dilation]
    assert last == ([(1, 1)] * 2 if method in ('upernet', 'semfpn') else [(2, 2), (4, 4)])
    heads = [model.decode_head, *([model.auxiliary_head] if model.with_auxiliary_head else [])]
    assert len(heads) == (1 if method == 'semfpn' else 2)
    assert {head.num_classes for head in heads} == {DATA[data][0]}
    assert all(p.requires_grad for p in model.parameters())


def test_plain_backbone__is_that_of_mmsegs_b_config():
    from mmengine.config import Config

    theirs = Config.fromfile(
        'mmseg::fcn/fcn_r50b-d8_4xb2-80k_cityscapes-512x1024.py'.replace('mmseg::', _zoo())
    )
    expected = build_on_meta({**theirs.model, 'pretrained': None}, 'mmseg').state_dict()
    own = build_on_meta(read('fcn_resnet50_cityscapes_80k').model, 'mmseg').state_dict()
    assert {n: t.shape for n, t in own.items()} == {n: t.shape for n, t in expected.items()}


def _zoo():
    import mmseg

    return f'{Path(mmseg.__file__).parent}/.mim/configs/'


def test_norms__become_synchronized_when_the_training_is_distributed():
    """``Runner.wrap_model`` makes this call; all norms must be of a type that it converts."""
    model = build_on_meta(read('upernet_ecanet50_cityscapes_80k').model, 'mmseg')
    norms = [name for name, part in model.named_modules() if type(part).__name__ == 'BatchNorm2d']
    converted = dict(convert_sync_batchnorm(model, 'torch').named_modules())
    assert len(norms) > 60
    assert all(type(converted[name]) is torch.nn.SyncBatchNorm for name in norms)


@pytest.mark.parametrize(('name', 'classes'), SMALL.items())
def test_small_config__builds_and_is_complete(name, classes):
    cfg = read(name)
    check_sections(cfg, 'train')
    check_sections(cfg, 'test')
    check_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    model = build_on_meta(cfg.model, 'mmseg')
    assert model.decode_head.num_classes == classes
    assert len(cfg.train_dataloader.dataset.metainfo.classes) == classes
    assert model.backbone.depth == 18


def test_coco_mini_config__has_the_classes_of_the_dataset(coco_mini):
    import json

    names = json.loads((coco_mini / 'semantic/classes.json').read_text())
    assert list(read('semfpn_ecanet18_coco_mini').train_dataloader.dataset.metainfo.classes) == names


@pytest.mark.parametrize('name', ['fcn_ecanet50_cityscapes_80k', 'pspnet_ecanet50_ade20k_160k', *SMALL])
def test_data_root__replaces_the_folder_of_every_dataset(name):
    cfg = load_config(f'eca_mmdet::segmentation/{name}.py', dict(data_root='/elsewhere'))
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == '/elsewhere/'


def test_metafile__describes_every_released_config_and_claims_nothing_for_eca():
    models = {
        m['Name']: m
        for m in yaml.safe_load((ROOT / 'configs/segmentation/metafile.yml').read_text())['Models']
    }
    assert set(models) == {name_of(*key) for key in RELEASED}
    for name, model in models.items():
        assert model['Config'] == f'configs/segmentation/{name}.py'
        assert not (model['Results'] and 'ecanet' in name)
    assert 'configs/segmentation/metafile.yml' in (ROOT / 'model-index.yml').read_text()


def test_metafile__has_the_published_results_of_the_model_zoo():
    published = {}
    for folder in ('fcn', 'pspnet', 'deeplabv3plus', 'upernet', 'sem_fpn'):
        path = Path(_zoo(), folder, 'metafile.yaml')
        for model in yaml.safe_load(path.read_text())['Models']:
            results = model['Results'] if isinstance(model['Results'], list) else [model['Results']]
            published.setdefault(model['Name'], []).append(results[0]['Metrics'].get('mIoU'))
    models = yaml.safe_load((ROOT / 'configs/segmentation/metafile.yml').read_text())['Models']
    plain = [(r['Metrics']['mIoU'], r['Published']) for m in models for r in m['Results']]
    deep = [m['Metadata'].get('With ResNetV1c') for m in models]
    claims = [*plain, *((d['mIoU'], d['Published']) for d in deep if d)]
    assert len(plain) == 6
    assert len(claims) == 26
    for value, config in claims:
        assert value in published[config], config


def test_generated_table__is_up_to_date():
    text = (ROOT / 'docs/segmentation.md').read_text()
    assert load_tool('readme_tables').render(text, 'docs/segmentation.md') == text
