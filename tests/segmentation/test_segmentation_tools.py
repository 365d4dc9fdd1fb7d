"""tools/train.py and tools/test.py on a tiny dataset, as a user would call them."""

import json
import re

import cv2
import numpy as np
import pytest
from conftest import load_tool

pytest.importorskip('mmseg')

from mask_data import CLASSES, write_config, write_dataset  # noqa: E402
from mmengine.fileio import load  # noqa: E402

from eca_mmdet.checkpoints import read_checkpoint  # noqa: E402

train, evaluate = load_tool('train').main, load_tool('test').main
SMALL = [f'{split}_dataloader.{option}' for split in ('train', 'val', 'test')
         for option in ('num_workers=0', 'persistent_workers=False')]  # fmt: skip
ITERATIONS = ['train_dataloader.batch_size=2', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
              'default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1']  # fmt: skip


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Train two iterations. The folder of the config, the dataset and the work directory."""
    folder = tmp_path_factory.mktemp('run')
    root = write_dataset(folder / 'mine')
    config = write_config(folder, 'data/nowhere')
    options = ['--cfg-options', f'data_root={root}', *SMALL, *ITERATIONS]
    train([str(config), '--work-dir', str(folder / 'work'), '--seed', '0', *options])
    return folder


def test_train__logs_rate_batch_and_classes_and_saves(run):
    log = ''.join(path.read_text() for path in (run / 'work').glob('*/*.log'))
    assert 'Learning rate 0.00125 (scaled linearly from a batch of 4), effective batch 2' in log
    assert 'times that of the linear rule' not in log  # which is that of detectors
    assert re.search(r'\| bar +\| +\d\.\d{3}', log)
    assert re.search(r'Iter\(val\).*mIoU: 0\.\d+', log)
    assert read_checkpoint(run / 'work/iter_2.pth')['meta']['iter'] == 2


def test_report__has_classes_confusion_and_images(run):
    content = json.loads((run / 'work/evaluation.json').read_text())
    (details,) = content['details']
    assert list(details['classes']) == list(CLASSES)
    assert {example['group'] for example in details['examples']} >= {'worst'}
    assert 'alt="confusion matrix, segmentation"' in (run / 'work/report.html').read_text()


def test_resume__continues_from_the_last_checkpoint(run):
    more = ['--cfg-options', f'data_root={run / "mine"}', *SMALL, *ITERATIONS, 'train_cfg.max_iters=4']
    train([str(run / 'mine.py'), '--work-dir', str(run / 'work'), '--resume', *more])
    assert read_checkpoint(run / 'work/iter_4.pth')['meta']['iter'] == 4


def test_test__writes_one_table_json_predictions_and_visualizations(run, tmp_path, capsys):
    out = ['--out', str(tmp_path / 'x.pkl'), '--show-dir', str(tmp_path / 'shown')]
    options = ['--cfg-options', f'data_root={run / "mine"}', *SMALL]
    evaluate(
        [str(run / 'mine.py'), str(run / 'work/iter_2.pth'), '--work-dir', str(tmp_path), *out, *options]
    )
    printed = capsys.readouterr().out
    assert printed.count('mean (mIoU, mAcc)') == 1
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['images'] == 2
    results = content['results']
    assert list(results['classes']) == list(CLASSES)
    values = [row['IoU'] for row in results['classes'].values()]
    assert results['mIoU'] == pytest.approx(np.mean([v for v in values if v is not None]))
    assert 0 <= results['aAcc'] <= 1
    predictions = load(tmp_path / 'x.pkl')
    assert [item['pred_sem_seg'].shape for item in predictions] == [(64, 64)] * 2
    shown = sorted((tmp_path / 'shown').iterdir())
    assert [path.name for path in shown] == ['000.jpg', '001.jpg']
    assert cv2.imread(str(shown[0])).shape[1] >= 3 * 64
    assert (tmp_path / 'overview.jpg').is_file()


def test_test__refuses_classes_in_another_order(run, tmp_path, capsys):
    config = write_config(tmp_path, run / 'mine', ('background', 'bar', 'square'))
    with pytest.raises(SystemExit):
        evaluate([str(config), str(run / 'work/iter_2.pth'), '--work-dir', str(tmp_path)])
    assert 'in another order' in capsys.readouterr().err


def test_train__reports_faults_in_one_line(run, tmp_path, capsys):
    config = write_config(tmp_path, run / 'mine', (*CLASSES[:2],))
    with pytest.raises(SystemExit) as exit_:
        train([str(config), '--work-dir', str(tmp_path)])
    assert exit_.value.code == 2
    assert 'have the values 0 to 2, 255, and it has 2 classes' in capsys.readouterr().err


def test_test__refuses_unknown_metrics(run, tmp_path, capsys):
    options = ['--cfg-options', f'data_root={run / "mine"}', 'test_evaluator.iou_metrics=[IoU]']
    with pytest.raises(SystemExit):
        evaluate([str(run / 'mine.py'), str(run / 'work/iter_2.pth'), '--work-dir', str(tmp_path), *options])
    assert "iou_metrics has ['IoU']; allowed are ['mDice', 'mFscore', 'mIoU']" in capsys.readouterr().err
