"""Wrong input of users: tools/train.py and tools/test.py print one message and exit with code 2."""

import re
from pathlib import Path

import pytest
from conftest import load_tool
from small_detector import CONFIG, SMALL

train = load_tool('train').main
evaluate = load_tool('test').main


def message(tool, arguments, capsys):
    """Run a tool that rejects its arguments, and return its message."""
    with pytest.raises(SystemExit) as exit_:
        tool(arguments)
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert 'Traceback' not in printed
    return printed


def check_text(printed, text):
    assert re.search(text, printed), printed


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'x.pth'
    path.touch()
    return str(path)


OPTIONS = [
    ('model.backbone.depth=51', r'error: model.backbone of the config cannot be built: .*51'),
    ('model.roi_head.bbox_head.fc_out_channels=abc', 'error: model.roi_head.bbox_head of the config'),
    ('model.roi_head.bbox_head.typo=1', 'error: model.roi_head.bbox_head of the config'),
    ('model.neck.type=FPNN', 'error: model.neck of the config cannot be built: KeyError: FPNN is not in'),
    ('model.type=MaskRCN', 'error: model of the config cannot be built'),
    ('data_root=/with space/coco', 'error: data folder /with space/coco/ of '),
    ('train_cfg.max_epochs.x=1', 'error: --cfg-options cannot be applied to the config'),
    ('param_scheduler.9.end=5', 'error: --cfg-options cannot be applied to the config: .*Index 9'),
    ('param_scheduler.x.end=5', 'error: --cfg-options cannot be applied to the config'),
    ('model=None', 'has no model. To '),
    ('model=5', 'model is 5 in .*not a dict'),
    ('model.backbone=None', r'error: model.backbone is None, not a dict\(...\). Remove the option'),
    (
        'model.rpn_head.anchor_generator.strides=[4,8,16]',
        'error: model.rpn_head.anchor_generator.strides has 3 values, but model.neck has 5 outputs',
    ),
]
TRAIN_OPTIONS = [
    (
        'train_dataloader.batchsize=4',
        "train_dataloader of the config cannot be built: TypeError: .*'batchsize'",
    ),
    ('train_dataloader.batch_size=abc', 'train_dataloader of the config cannot be built'),
    ('train_dataloader.batch_size=0', 'train_dataloader of the config cannot be built'),
    ('train_dataloader.num_workers=-1', 'train_dataloader of the config cannot be built'),
    ('train_dataloader.sampler.type=Sampler', 'train_dataloader.sampler.type is .*Sampler'),
    ('train_dataloader.dataset.typo=1', 'train_dataloader.dataset of the config cannot be built: TypeError'),
    ('train_dataloader.dataset.pipeline.0.type=LoadImage', 'train_dataloader.dataset of the config cannot'),
    ('train_dataloader.dataset.pipeline.1.typo=1', 'train_dataloader.dataset of the config cannot be built'),
    ('train_cfg.max_epochs=0', 'train_cfg.max_epochs is 0, but must be an integer of at least 1'),
    ('train_cfg.max_epochs=-3', 'train_cfg.max_epochs is -3'),
    ('train_cfg.max_epochs=1.5', 'train_cfg.max_epochs is 1.5'),
    ('train_cfg.max_epochs=many', 'train_cfg.max_epochs is .many'),
    ('train_cfg.val_interval=0', 'train_cfg.val_interval is 0'),
    (
        'train_cfg.max_epoch=3',
        "train_cfg of the config has wrong arguments for EpochBasedTrainLoop: .*'max_epoch'",
    ),
    ('train_cfg=None', 'has no train_cfg. To train'),
    ('train_dataloader=None', 'has no train_dataloader. To train'),
    ('val_evaluator=None', 'has no val_evaluator. To train'),
    ('train_dataloader.dataset=None', 'train_dataloader.dataset is None'),
    ('optim_wrapper.optimizer.type=Adamm', 'optim_wrapper.optimizer.type is .*Adamm'),
    ('optim_wrapper.optimizer.lr=fast', 'optim_wrapper of the config cannot be built'),
    ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper of the config cannot be built: ValueError'),
    ('optim_wrapper.paramwise_cfg=5', 'optim_wrapper of the config cannot be built: TypeError: paramwise'),
    ('optim_wrapper.constructor=Foo', 'optim_wrapper of the config cannot be built: KeyError'),
    ('model.roi_head.mask_head=None', "has metric='segm', but the model predicts no masks"),
    ('train_dataloader.dataset.filter_cfg.min_size=abc', 'train_dataloader.dataset.filter_cfg is '),
    ('optim_wrapper.typo=1', 'optim_wrapper of the config cannot be built'),
    ('param_scheduler.0.type=Linear', 'param_scheduler.0 of the config cannot be built: KeyError'),
    ('param_scheduler.0.end=-5', 'param_scheduler.0 of the config cannot be built: ValueError'),
    ('default_hooks.timer.typo=1', 'default_hooks.timer of the config has wrong arguments for IterTimerHook'),
    ('default_hooks.timer.type=Timer', 'default_hooks.timer.type is .*Timer'),
    ('val_evaluator.metric=boxes', 'val_evaluator.0 of the config cannot be built: KeyError'),
    ('val_evaluator.typo=1', 'val_evaluator.0 of the config'),
    ('model.train_cfg=None', 'error: model.train_cfg is None, but MaskRCNN needs .* Remove the option'),
    ('auto_scale_lr.base_batch_size=abc', "auto_scale_lr.base_batch_size is 'abc', .*--no-auto-scale-lr"),
    ('auto_scale_lr.base_batch_size=0', 'auto_scale_lr.base_batch_size is 0, but must be a positive number'),
    ('auto_scale_lr=5', 'auto_scale_lr is 5, not a dict'),
    ('default_hooks.checkpoint.interval=abc', "checkpoint.interval is 'abc', but must be a number"),
    ('log_level=FOO', "log_level='FOO': allowed are DEBUG, INFO"),
]


@pytest.mark.parametrize(('option', 'text'), OPTIONS + TRAIN_OPTIONS)
def test_train__reports_a_wrong_option(shapes, in_tmp, capsys, option, text):
    given = [CONFIG, '--cfg-options', f'data_root={shapes}', option]
    check_text(message(train, given, capsys), text)
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(
    ('option', 'text'),
    [
        ('randomness.seed=abc', 'TypeError'),
        ('visualizer.type=X', 'KeyError: X is not in'),
        ('default_hooks.logger.interval=0', 'ValueError: interval'),
        ('runner_type=Foo', 'KeyError: .*Foo'),
    ],
)
def test_train__reports_an_option_that_the_runner_rejects(shapes, in_tmp, capsys, option, text):
    given = [CONFIG, '--cfg-options', f'data_root={shapes}', option]
    check_text(message(train, given, capsys), f'error: the run cannot be set up: {text}')


@pytest.mark.parametrize(('option', 'text'), OPTIONS)
def test_test__reports_a_wrong_option(shapes, tmp_path, checkpoint, capsys, option, text):
    given = [CONFIG, checkpoint, '--work-dir', str(tmp_path), '--cfg-options', f'data_root={shapes}', option]
    check_text(message(evaluate, given, capsys), text)


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        ('x = (', 'cannot be read as a config: SyntaxError'),
        ('x = 1 / 0', 'cannot be read as a config: ZeroDivisionError'),
        ("_base_ = 'nowhere.py'", 'cannot be read as a config: FileNotFoundError'),
        ("_base_ = 'mmdet::nowhere.py'", 'cannot be read as a config'),
        ("custom_imports = dict(imports=['nowhere'])", 'cannot be read as a config: ImportError'),
        ('x = 1', 'has no model, '),
        ("model = dict(type='RetinaNet')", 'has no (train|test)_dataloader, '),
    ],
)
@pytest.mark.parametrize('tool', ['train', 'test'])
def test_unusable_config__is_reported(tmp_path, checkpoint, capsys, tool, text, error):
    config = tmp_path / 'mine.py'
    config.write_text(text)
    given = [str(config), *([checkpoint] if tool == 'test' else [])]
    check_text(message(train if tool == 'train' else evaluate, given, capsys), f'error: .*mine.py {error}')


@pytest.mark.parametrize(
    'name', ['nowhere.py', 'eca_mmdet::nowhere.py', 'nowhere::nowhere.py', 'a folder', 'a.txt']
)
@pytest.mark.parametrize('tool', ['train', 'test'])
def test_missing_config__is_reported(in_tmp, capsys, tool, name):
    (in_tmp / 'a folder').mkdir()
    (in_tmp / 'a.txt').touch()
    given = [name, *(['x.pth'] if tool == 'test' else [])]
    check_text(message(train if tool == 'train' else evaluate, given, capsys), f'error: {name}')


@pytest.mark.parametrize('tool', ['train', 'test'])
@pytest.mark.parametrize('name', ['file', 'file/below', 'dangling', 'loop'])
def test_work_dir_that_is_not_a_folder__is_reported(shapes, tmp_path, checkpoint, capsys, tool, name):
    (tmp_path / 'file').touch()
    (tmp_path / 'dangling').symlink_to(tmp_path / 'nowhere/below')
    (tmp_path / 'loop').symlink_to('loop')
    given = [CONFIG, *([checkpoint] if tool == 'test' else []), '--work-dir', str(tmp_path / name)]
    printed = message(
        train if tool == 'train' else evaluate, [*given, '--cfg-options', f'data_root={shapes}'], capsys
    )
    check_text(printed, 'error: .*work directory .*--work-dir')


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs a folder in which even root cannot write')
@pytest.mark.parametrize('tool', ['train', 'test'])
def test_work_dir_that_cannot_be_created__is_reported(shapes, checkpoint, capsys, tool):
    given = [CONFIG, *([checkpoint] if tool == 'test' else []), '--work-dir', '/proc/x']
    printed = message(
        train if tool == 'train' else evaluate, [*given, '--cfg-options', f'data_root={shapes}'], capsys
    )
    check_text(printed, 'error: cannot write .*/proc.*--work-dir')


@pytest.mark.parametrize(
    ('option', 'text'),
    [
        ('model.train_cfg=None', 'error: model.train_cfg is None, but RetinaNet needs .* Remove the option'),
        (
            'model.bbox_head.anchor_generator.strides=[8,16]',
            'error: model.bbox_head.anchor_generator.strides has 2 values, but model.neck has 5 outputs',
        ),
    ],
)
def test_train__reports_a_wrong_option_of_retinanet(in_tmp, capsys, option, text):
    given = ['eca_mmdet::retinanet_ecanet50_fpn_1x.py', '--cfg-options', option]
    check_text(message(train, given, capsys), text)


def test_path_with_spaces__is_supported(shapes, tmp_path):
    root = tmp_path / 'my data, [all]'
    root.symlink_to(shapes)
    work = tmp_path / 'work dir'
    short = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=5')
    train([CONFIG, '--cfg-options', f'data_root={root}', f'work_dir={work}', *SMALL, *short])
    assert (work / 'epoch_1.pth').is_file()
