"""Checks of a run before it starts."""

import json
import shutil

import pytest
import torch
from mmdet.registry import MODELS

from eca_mmdet import ECAResNet
from eca_mmdet.apis import check_run, load_config
from eca_mmdet.apis.model_checks import build_model

CONFIG = 'eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'


def run_config(data, **options):
    cfg = load_config(CONFIG, dict(data_root=str(data), **options))
    cfg.work_dir = str(data.parent / 'work')
    return cfg


def test_check__passes_for_a_complete_run(data):
    check_run(run_config(data), 'train')
    check_run(run_config(data), 'test')


def damage(data, fault):
    annotations = data / 'annotations/instances_train2017.json'
    content = json.loads(annotations.read_text())
    if fault == 'no folder':
        shutil.rmtree(data)
    elif fault == 'no annotations':
        annotations.unlink()
    elif fault == 'incomplete JSON':
        annotations.write_text(json.dumps(content)[:-100])
    elif fault == 'no images':
        annotations.write_text(json.dumps({**content, 'images': []}))
    elif fault == 'a list':
        annotations.write_text('[1, 2]')
    elif fault == 'other names':
        names = [dict(id=i, name=name) for i, name in enumerate(('disc', 'square', 'triangle'), 1)]
        annotations.write_text(json.dumps({**content, 'categories': names}))
    elif fault == 'no image file':
        (data / 'train2017/000001.jpg').unlink()


@pytest.mark.parametrize(
    ('fault', 'error', 'message'),
    [
        ('no folder', FileNotFoundError, 'data folder .* not found.*--cfg-options data_root='),
        (
            'no annotations',
            FileNotFoundError,
            r"instances_train2017.json .*instances_val2017.json'.*ann_file=NAME",
        ),
        ('incomplete JSON', ValueError, 'is not valid JSON.*damaged, incomplete'),
        ('no images', ValueError, "'images'.* missing or empty"),
        ('a list', ValueError, 'is not a COCO detection file'),
        ('other names', ValueError, r"lacks 1 of the 3 classes of the train set: \['circle'\].*'disc'"),
        ('no image file', FileNotFoundError, r'not found, the first is .*000001.jpg.*data_prefix.img=FOLDER'),
    ],
)
def test_faulty_data__is_reported_with_a_remedy(data, fault, error, message):
    cfg = run_config(data)
    damage(data, fault)
    with pytest.raises(error, match=f'(?s){message}'):
        check_run(cfg, 'train')


def test_weights_of_other_sizes__are_rejected_before_the_data_is_loaded(data, tmp_path):
    cfg = run_config(data)
    path = tmp_path / 'backbone.pth'
    torch.save(dict(state_dict=ECAResNet(18, eca_kernel_sizes=5).state_dict()), path)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    shutil.rmtree(data)
    with pytest.raises(
        ValueError, match=r'sizes \(5, 5, 5, 5\), this backbone was built with \(3, 5, 7, 7\)'
    ):
        check_run(cfg, 'train')


def test_classes_in_another_order__are_rejected(data):
    cfg = run_config(data)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = ('square', 'circle', 'triangle')
    with pytest.raises(ValueError, match=r"(?s)another order .*classes=\('circle', 'square', 'triangle'\)"):
        check_run(cfg, 'train')


def test_evaluator_with_other_annotations__is_rejected(data):
    cfg = run_config(data, **{'val_dataloader.dataset.ann_file': 'annotations/instances_train2017.json'})
    cfg.val_dataloader.dataset.data_prefix.img = 'train2017/'
    with pytest.raises(
        ValueError, match='val_evaluator.ann_file is .*but the dataset uses .*instances_train2017'
    ):
        check_run(cfg, 'train')


def test_num_classes__must_match_the_dataset(data):
    cfg = run_config(data, **{'model.roi_head.mask_head.num_classes': 80})
    with pytest.raises(ValueError, match=r'model.roi_head.mask_head.num_classes is 80, .* 3 classes'):
        check_run(cfg, 'train')


def test_missing_weights__are_reported_with_remedies(data):
    cfg = run_config(data)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='weights/none.pth')
    with pytest.raises(FileNotFoundError) as error:
        check_run(cfg, 'train')
    for text in ('weights/none.pth of model.backbone', 'convert_weights.py DOWNLOADED weights/none.pth',
                 'train from scratch on purpose:\n      --from-scratch'):  # fmt: skip
        assert text in str(error.value)


def test_missing_weights__are_not_needed_to_resume(data):
    cfg = run_config(data)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='weights/none.pth')
    checkpoint = data / 'epoch_1.pth'
    model = MODELS.build({**cfg.model, 'backbone': {**cfg.model.backbone, 'init_cfg': None}})
    torch.save(dict(state_dict=model.state_dict(), meta={}, message_hub={}, optimizer={}), checkpoint)
    cfg.resume, cfg.load_from = True, str(checkpoint)
    check_run(cfg, 'train')
    assert cfg.model.backbone.init_cfg is None


def test_missing_checkpoint_to_resume__is_reported(data):
    cfg = run_config(data)
    cfg.resume, cfg.load_from = True, str(data / 'nothing.pth')
    with pytest.raises(FileNotFoundError, match='nothing.pth: no such file'):
        check_run(cfg, 'train')


def test_resume_without_a_checkpoint__is_logged(data, capsys):
    cfg = run_config(data)
    cfg.resume = True
    check_run(cfg, 'train')
    assert 'Nothing to resume' in ''.join(capsys.readouterr())


def test_random_frozen_stages__are_warned_about(data, capsys):
    check_run(run_config(data, **{'model.backbone.frozen_stages': 1}), 'train')
    assert 'stay random' in ''.join(capsys.readouterr())


def test_home_folder__is_expanded_in_the_path_of_weights(data, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(state_dict=ECAResNet(18).state_dict()), tmp_path / 'backbone.pth')
    cfg = run_config(data)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='~/backbone.pth')
    check_run(cfg, 'train')
    assert cfg.model.backbone.init_cfg.checkpoint == str(tmp_path / 'backbone.pth')


def test_rpn_head_with_num_classes__passes(data):
    cfg = run_config(data, **{'model.rpn_head.num_classes': 1})
    check_run(cfg, 'train')


def test_dataset_wrapper_without_its_arguments__is_reported(data):
    cfg = run_config(data)
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=cfg.train_dataloader.dataset)
    with pytest.raises(
        ValueError, match="train_dataloader.dataset .*has wrong arguments for RepeatDataset.*'times'"
    ):
        check_run(cfg, 'train')


def test_model_that_cannot_be_built_without_memory__is_built_on_the_cpu(data):
    cfg = run_config(data)
    cfg.model.backbone = dict(
        type='SwinTransformer', embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]
    )
    cfg.model.neck.in_channels = [24, 48, 96, 192]
    check_run(cfg, 'train')


def test_model_that_needs_a_launcher__is_not_checked(data, monkeypatch, capsys):
    cfg = run_config(data)
    cfg.model.roi_head.bbox_head.update(norm_cfg=dict(type='MMSyncBN'), type='Shared4Conv1FCBBoxHead')
    with pytest.raises(ValueError, match='model.roi_head.bbox_head of the config cannot be built.*group'):
        build_model(cfg)
    cfg.launcher = 'pytorch'
    assert build_model(cfg) is None
    assert 'The model was not checked' in ''.join(capsys.readouterr())
