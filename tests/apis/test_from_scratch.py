"""What --from-scratch changes in a config, and that nothing of ImageNet is left in it."""

import pytest
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet.apis import load_config
from eca_mmdet.apis.check_weights import check_weights
from eca_mmdet.apis.from_scratch import MIN_ITERATIONS, train_from_scratch
from eca_mmdet.apis.model_checks import build_model

ECA = 'eca_mmdet::faster_rcnn_ecanet18_fpn_1x.py'
CONFIGS = [
    ECA,
    'eca_mmdet::retinanet_ecamobilenetv2_fpn_1x.py',
    'eca_mmdet::timm/faster_rcnn_ecaresnet50t_fpn_1x.py',
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco.py',
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
]


@pytest.mark.parametrize('name', CONFIGS)
def test_backbone__trains_every_parameter_and_norm_and_asks_for_no_weights(in_tmp, name):
    cfg = load_config(name)
    cfg.work_dir, cfg.load_from = str(in_tmp), 'missing.pth'
    train_from_scratch(cfg, 100)
    check_weights(cfg, 'train')
    assert 'Pretrained' not in str(cfg.model)
    model = build_model(cfg)
    model.train()
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())
    assert all(norm.training for norm in model.backbone.modules() if isinstance(norm, _BatchNorm))


def test_residual_blocks__start_open():
    cfg = load_config(ECA)
    train_from_scratch(cfg, 100)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    assert backbone.layer1[0].bn2.weight.min() == 1


@pytest.mark.parametrize(
    ('images', 'epochs', 'interval'),
    [(4, 2000, 200), (364, 24, 3), (1000, 12, 2), (100_000, 12, 2), (None, 12, 2)],
)
def test_schedule__has_enough_iterations_and_validates_the_last_epoch(images, epochs, interval):
    cfg = load_config(ECA)
    train_from_scratch(cfg, images)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (epochs, interval)
    assert cfg.default_hooks.checkpoint.interval == interval
    assert epochs % interval == 0
    if images:
        assert -(-images // cfg.train_dataloader.batch_size) * epochs >= MIN_ITERATIONS
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert [scheduler.type for scheduler in cfg.param_scheduler] == ['LinearLR', 'CosineAnnealingLR']


@pytest.mark.parametrize(('size', 'expected'), [(2, 4), (4, 4), (16, 16)])
def test_batch__has_at_least_four_images(size, expected):
    cfg = load_config(ECA, {'train_dataloader.batch_size': size})
    train_from_scratch(cfg, 100)
    assert cfg.train_dataloader.batch_size == expected


def test_batch__of_the_user_is_kept_and_gets_more_epochs():
    cfg = load_config(ECA)
    train_from_scratch(cfg, 100, batch_size=20)
    assert cfg.train_cfg.max_epochs == 400
    assert cfg.train_dataloader.batch_size == 2


def test_repeated_dataset__needs_fewer_epochs():
    cfg = load_config(ECA)
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=5, dataset=cfg.train_dataloader.dataset)
    train_from_scratch(cfg, 40)
    assert cfg.train_cfg.max_epochs == 40


def test_adamw__of_the_config_is_kept():
    cfg = load_config('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    before = cfg.optim_wrapper.to_dict()
    train_from_scratch(cfg, 100)
    assert cfg.optim_wrapper.to_dict() == before
    assert cfg.param_scheduler[-1].type == 'CosineAnnealingLR'


def test_schedule_of_iterations__is_kept():
    cfg = load_config(ECA)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=9000, val_interval=1000)
    lines = train_from_scratch(cfg, 100)
    assert cfg.train_cfg.max_iters == 9000
    assert 'the schedule is not changed: train_cfg.max_iters = 9000' in lines


def test_option__counts_the_images_that_cfg_options_name(data):
    tool = load_tool('train')
    name = str(ROOT / 'configs/faster_rcnn_ecanet18_fpn_1x.py')
    options = ['--from-scratch', '--cfg-options', f'data_root={data}', 'train_dataloader.batch_size=8']
    cfg = tool.training_config(tool.parse_args([name, *options]))
    assert cfg.train_cfg.max_epochs == 2000
    assert cfg.train_dataloader.batch_size == 8


def test_images__are_counted_in_the_annotation_file(cfg):
    train_from_scratch(cfg)
    assert cfg.train_cfg.max_epochs == 1000  # eight images, four in a batch


def test_every_changed_setting__is_in_the_notice(capsys):
    cfg = load_config(ECA)
    before = cfg.to_dict()
    lines = train_from_scratch(cfg, 100)
    printed = capsys.readouterr().out
    assert all(line in printed for line in lines)
    names = ' '.join(lines)
    for key in ('init_cfg', 'frozen_stages', 'norm_eval', 'zero_init_residual'):
        assert before['model']['backbone'].get(key) != cfg.model.backbone[key]
        assert f'model.backbone.{key} = ' in names
    for key in ('max_epochs', 'val_interval', 'checkpoint.interval', 'batch_size', 'AdamW'):
        assert key in names


def test_second_time__changes_nothing():
    cfg = load_config(ECA)
    train_from_scratch(cfg, 100)
    first = cfg.to_dict()
    train_from_scratch(cfg, 100)
    assert cfg.to_dict() == first


def test_other_host_library__is_refused():
    cfg = load_config(ECA)
    cfg.default_scope = 'mmpretrain'
    with pytest.raises(ValueError, match='belongs to MMPretrain'):
        train_from_scratch(cfg, 100)
