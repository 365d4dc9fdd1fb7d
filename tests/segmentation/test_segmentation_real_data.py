"""Real images: 120 of COCO with semantic masks, and nuclei."""

import cv2
import numpy as np
import pytest
from conftest import ROOT, load_tool

pytest.importorskip('mmseg')

from mmengine.registry import init_default_scope  # noqa: E402
from test_segmentation_tools import SMALL  # noqa: E402

from eca_mmdet.apis import load_config  # noqa: E402
from eca_mmdet.checkpoints import read_checkpoint  # noqa: E402
from eca_mmdet.datasets import masks_from_coco  # noqa: E402
from eca_mmdet.segmentation.mask_dataset_checks import check_mask_datasets  # noqa: E402

CONFIG = str(ROOT / 'configs/segmentation/semfpn_ecanet18_coco_mini.py')


def test_coco__passes_the_checks(coco_mini):
    init_default_scope('mmseg')
    check_mask_datasets(load_config(CONFIG, dict(data_root=str(coco_mini))), ('train', 'val', 'test'))


def test_coco__trains_evaluates_and_resumes(coco_mini, tmp_path, capsys):
    train = load_tool('train').main
    few = [f'{split}_dataloader.dataset.indices=2' for split in ('train', 'val', 'test')]
    options = ['--work-dir', str(tmp_path), '--cfg-options', f'data_root={coco_mini}', *SMALL, *few,
               'train_dataloader.batch_size=1', 'default_hooks.checkpoint.interval=1',
               'train_cfg.val_interval=1']  # fmt: skip
    train([CONFIG, *options, 'train_cfg.max_iters=1'])
    train([CONFIG, '--resume', *options, 'train_cfg.max_iters=2'])
    assert read_checkpoint(tmp_path / 'iter_2.pth')['meta']['iter'] == 2
    capsys.readouterr()
    load_tool('test').main([CONFIG, str(tmp_path / 'iter_2.pth'), *options])
    printed = capsys.readouterr().out
    assert printed.count('mean (mIoU, mAcc)') == 1
    assert '| wall-other-merged' in printed


def test_nuclei__get_masks_of_all_images(nuclei, tmp_path):
    masks_from_coco(nuclei, tmp_path / 'new', ['val'])
    paths = sorted((tmp_path / 'new/semantic/val').iterdir())
    assert [path.stem for path in paths] == sorted(path.stem for path in (nuclei / 'val').iterdir())
    labels = cv2.imread(str(paths[0]), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(labels)) == {0, 1}
