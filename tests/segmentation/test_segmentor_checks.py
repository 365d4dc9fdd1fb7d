"""Heads that pool to one pixel need two images; the preprocessor needs a size."""

from pathlib import Path

import pytest
import torch

pytest.importorskip('mmseg')

from mmengine.config import Config  # noqa: E402
from mmengine.registry import MODELS, DefaultScope  # noqa: E402

from eca_mmdet.meta_device import build_on_meta  # noqa: E402
from eca_mmdet.segmentation.segmentor_checks import check_input_size, check_pooled_heads, pooled_norms  # noqa: E402

ROOT = Path(__file__).resolve().parents[2] / 'configs/segmentation'
POOLED = {
    'pspnet': 'decode_head.psp_modules.0',
    'deeplabv3plus': 'decode_head.image_pool',
    'upernet': 'decode_head.psp_modules.0',
}


def small(name, batch=1, **head):
    """A config with a small backbone and head."""
    cfg = Config.fromfile(ROOT / '_base_' / f'{name}.py')
    cfg.model.backbone.update(depth=18, eca_kernel_sizes='3577', init_cfg=None)
    channels = [64, 128, 256, 512]
    node = cfg.model.decode_head
    node.update(
        in_channels=channels if isinstance(node.in_index, list) else 512, channels=32, num_classes=2, **head
    )
    if 'c1_in_channels' in node:
        node.update(c1_in_channels=64, c1_channels=16)
    cfg.model.auxiliary_head = None
    cfg.model.data_preprocessor.size = (64, 64)
    if 'neck' in cfg.model:
        cfg.model.neck.update(in_channels=channels, out_channels=256)
        node.in_channels = [256] * 4
    cfg.train_dataloader = dict(batch_size=batch)
    return cfg


def train_step(cfg, batch):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).train()
    size = dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64))
    labels = PixelData(data=torch.zeros(1, 64, 64, dtype=torch.long))
    samples = [SegDataSample(gt_sem_seg=labels, metainfo=size) for _ in range(batch)]
    inputs = dict(inputs=[torch.zeros(3, 64, 64, dtype=torch.uint8)] * batch, data_samples=samples)
    return model(**model.data_preprocessor(inputs, training=True), mode='loss')


@pytest.mark.parametrize('name', ['fcn', 'pspnet', 'deeplabv3plus', 'upernet', 'semfpn'])
def test_batch_of_one__is_refused_exactly_where_torch_fails(name):
    cfg = small(name)
    model = build_on_meta(cfg.model, 'mmseg')
    assert pooled_norms(model) == ([POOLED[name]] if name in POOLED else [])
    if name in POOLED:
        with pytest.raises(ValueError, match=f'model.{POOLED[name]} pools .*batch_size is 1'):
            check_pooled_heads(cfg, model)
        with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
            train_step(cfg, 1)
    else:
        check_pooled_heads(cfg, model)
        assert train_step(cfg, 1)


@pytest.mark.parametrize('name', POOLED)
def test_way_out__works(name):
    """Two images, or group norm, as the message says."""
    cfg = small(name, batch=2)
    check_pooled_heads(cfg, build_on_meta(cfg.model, 'mmseg'))
    cfg = small(name, batch=1)
    cfg.merge_from_dict(
        {'model.decode_head.norm_cfg.type': 'GN', 'model.decode_head.norm_cfg.num_groups': 16}
    )
    check_pooled_heads(cfg, build_on_meta(cfg.model, 'mmseg'))
    assert train_step(cfg, 1)


@pytest.mark.parametrize(
    ('loader', 'is_refused'),
    [
        (dict(sampler=dict(type='DefaultSampler')), True),
        (dict(sampler=dict(type='DefaultSampler'), drop_last=True), False),
        (dict(sampler=dict(type='InfiniteSampler')), False),
    ],
)
def test_last_batch__needs_two_images_too(loader, is_refused):
    cfg = small('pspnet', batch=4)
    cfg.train_dataloader.update(loader)
    model = build_on_meta(cfg.model, 'mmseg')
    check_pooled_heads(cfg, model, images=10)
    if is_refused:
        with pytest.raises(ValueError, match='last batch .* 9 images in batches of 4.*\n.*drop_last=True'):
            check_pooled_heads(cfg, model, images=9)
    else:
        check_pooled_heads(cfg, model, images=9)


def test_several_processes__may_have_one_image_each(monkeypatch):
    cfg = small('pspnet')
    cfg.launcher, cfg.sync_bn = 'pytorch', 'torch'
    model = build_on_meta(cfg.model, 'mmseg')
    check_pooled_heads(cfg, model)
    monkeypatch.setenv('WORLD_SIZE', '1')
    with pytest.raises(ValueError, match='batch_size is 1'):
        check_pooled_heads(cfg, model)


@pytest.mark.parametrize(('size', 'divisor'), [(None, None), ((64, 64), 32)])
def test_preprocessor__needs_exactly_one_size(size, divisor):
    cfg = small('semfpn', batch=2)
    check_input_size(cfg)
    cfg.model.data_preprocessor.update(size=size, size_divisor=divisor)
    with pytest.raises(ValueError, match='neither size nor|both size and'):
        check_input_size(cfg)
    with pytest.raises(AssertionError):
        train_step(cfg, 2)
