"""tools/train.py and tools/test.py on a folder in Roboflow's layout, as a new user would call them."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from coco_layouts import add_supercategory
from conftest import ROOT, load_tool
from mmengine.config import Config

from eca_mmdet.checkpoints import read_checkpoint

train, evaluate = load_tool('train').main, load_tool('test').main
CONFIG = str(ROOT / 'configs/faster_rcnn_ecanet18_fpn_1x.py')
OPTIONS = [
    'model.backbone.base_channels=8',
    'model.neck.in_channels=[8,16,32,64]',
    'model.roi_head.bbox_head.fc_out_channels=32',
    'model.train_cfg.rpn_proposal.max_per_img=32',
    'model.train_cfg.rcnn.sampler.num=16',
    'train_dataloader.dataset.pipeline.2.scale=(64,64)',
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.logger.interval=1',
]
for loader in ('train', 'val', 'test'):
    OPTIONS += [f'{loader}_dataloader.num_workers=0', f'{loader}_dataloader.persistent_workers=False']
for loader in ('val', 'test'):
    OPTIONS += [f'{loader}_dataloader.dataset.pipeline.1.scale=(64,64)']


@pytest.fixture(scope='module')
def folder(shapes, tmp_path_factory):
    """The shapes in Roboflow's layout, without masks."""
    root = tmp_path_factory.mktemp('robo') / 'data'
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        shutil.copytree(shapes / split, root / name)
        content = json.loads((shapes / f'annotations/instances_{split}.json').read_text())
        add_supercategory(content, 'shapes')
        for item in content['annotations']:
            item['segmentation'] = []
        (root / name / '_annotations.coco.json').write_text(json.dumps(content))
    return root


@pytest.fixture(scope='module')
def run(folder, tmp_path_factory):
    """Train two iterations with one command. Its working directory."""
    here = tmp_path_factory.mktemp('run')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        data = os.path.relpath(folder, here)
        train([CONFIG, '--data', data, '--from-scratch', '--seed', '1', '--cfg-options', *OPTIONS])
    return here


WORK = 'work_dirs/faster_rcnn_ecanet18_fpn_1x'


def test_train__without_weights_learns_and_saves_the_classes(run):
    meta = read_checkpoint(run / WORK / 'epoch_1.pth')['meta']
    assert tuple(meta['dataset_meta']['classes']) == ('circle', 'square', 'triangle')
    assert meta['iter'] == 2
    log = ''.join(path.read_text() for path in (run / WORK).glob('*/*.log'))
    assert 'coco/bbox_mAP' in log


def test_written_config__trains_the_same_from_any_folder(run, tmp_path, monkeypatch):
    resolved = run / WORK / 'faster_rcnn_ecanet18_fpn_1x.py'
    monkeypatch.chdir(tmp_path)
    train([str(resolved), '--work-dir', str(tmp_path / 'again')])
    first, second = (read_checkpoint(path / 'epoch_1.pth') for path in (run / WORK, tmp_path / 'again'))
    for name, value in first['state_dict'].items():
        torch.testing.assert_close(second['state_dict'][name], value, rtol=0, atol=0)


def test_resume__from_the_written_config_continues_and_keeps_the_config(run, tmp_path, monkeypatch):
    shutil.copytree(run / WORK, tmp_path / 'work')
    resolved = tmp_path / 'work/faster_rcnn_ecanet18_fpn_1x.py'
    monkeypatch.chdir(tmp_path)
    options = ['--cfg-options', 'train_cfg.max_epochs=2']
    train([str(resolved), '--work-dir', str(tmp_path / 'work'), '--resume', *options])
    assert read_checkpoint(tmp_path / 'work/epoch_2.pth')['meta']['iter'] == 4
    before = Config.fromfile(run / WORK / resolved.name)
    after = Config.fromfile(resolved)
    assert not after.resume
    before.train_cfg.max_epochs, before.work_dir = 2, str(tmp_path / 'work')
    assert after.to_dict() == before.to_dict()


def test_test__evaluates_on_the_folder(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = str(run / WORK / 'epoch_1.pth')
    options = ['--cfg-options', *OPTIONS, 'model.test_cfg.rcnn.score_thr=0.0']
    evaluate([CONFIG, weights, '--data', str(folder), '--split', 'val', '--classwise', *options])
    results = json.loads(Path(WORK, 'results.json').read_text())
    assert results['images'] == 4
    assert set(results['results']) == {'bbox'}
    assert set(results['results']['bbox']['per_class']) == {'circle', 'square', 'triangle'}
