"""Run tools/train.py, tools/test.py and tools/convert_weights.py on a tiny classifier, as a user would."""

import json
import pickle

import pytest
import torch
from conftest import ROOT, load_tool

from eca_mmdet.checkpoints import read_checkpoint

pytestmark = pytest.mark.usefixtures('mmpretrain')

train, evaluate, convert = (load_tool(name).main for name in ('train', 'test', 'convert_weights'))
CONFIG = str(ROOT / 'configs/classification/ecanet18_shapes.py')
SMALL = [f'{split}_dataloader.{option}' for split in ('train', 'val', 'test')
         for option in ('num_workers=0', 'persistent_workers=False', 'batch_size=6')]  # fmt: skip
ATTENTIONS = ('eca', 'se', 'none')


def options(folders, *more):
    return ['--cfg-options', f'data_root={folders}', *SMALL, 'train_cfg.max_epochs=1', *more]


@pytest.fixture(scope='module')
def trained(made_folders, tmp_path_factory):
    """Train one epoch of two iterations with an attention; each only once."""
    folders = {}

    def work(attention):
        if attention not in folders:
            folders[attention] = tmp_path_factory.mktemp(attention)
            more = options(made_folders, f'model.backbone.attention={attention}')
            train([CONFIG, '--work-dir', str(folders[attention]), '--seed', '1', *more])
        return folders[attention]

    return work


def test_train__validates_and_stores_the_classes(trained):
    work = trained('eca')
    checkpoint = read_checkpoint(work / 'epoch_1.pth')
    assert checkpoint['meta']['iter'] == 2
    assert tuple(checkpoint['meta']['dataset_meta']['classes']) == ('circle', 'square', 'triangle')
    log = ''.join(path.read_text() for path in work.glob('*/*.log'))
    assert 'accuracy/top1' in log
    assert 'Learning rate 9.375e-05 (scaled linearly from a batch of 64)' in log


def test_report__has_the_confusion_matrix_and_the_most_certain_mistakes(trained):
    work = trained('eca')
    (details,) = json.loads((work / 'evaluation.json').read_text())['details']
    assert sum(map(sum, details['confusion']['counts'])) == 6
    assert list(details['classes']) == ['circle', 'square', 'triangle']
    mistakes = 6 - sum(row[index] for index, row in enumerate(details['confusion']['counts']))
    assert len(details['examples']) == mistakes
    assert 'alt="confusion matrix, classification"' in (work / 'report.html').read_text()


def test_resume__continues_the_training(trained, made_folders, tmp_path):
    checkpoint = str(trained('eca') / 'epoch_1.pth')
    more = options(made_folders, 'train_cfg.max_epochs=2')
    train([CONFIG, '--work-dir', str(tmp_path), '--resume', checkpoint, *more])
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['meta']['iter'] == 4


def test_evaluation__writes_accuracy_predictions_and_visualizations(trained, made_folders, tmp_path, capsys):
    checkpoint, shown, out = str(trained('eca') / 'epoch_1.pth'), tmp_path / 'shown', tmp_path / 'out.pkl'
    command = [CONFIG, checkpoint, '--work-dir', str(tmp_path), '--classwise', '--show-dir', str(shown)]
    evaluate([*command, '--out', str(out), *options(made_folders)])
    report = json.loads((tmp_path / 'results.json').read_text())
    assert report['images'] == 6
    assert set(report['results']['accuracy']) == {'top1'}  # top-5 of three classes does not exist
    classes = report['results']['classes']
    assert {name: row['images'] for name, row in classes.items()} == dict(circle=2, square=2, triangle=2)
    mean = sum(row['accuracy'] for row in classes.values()) / 3
    assert report['results']['accuracy']['top1'] == pytest.approx(mean, abs=1e-3)
    assert '| triangle |' in capsys.readouterr().out
    assert len(list(shown.rglob('*.png'))) == 6
    assert (tmp_path / 'overview.jpg').is_file()
    predictions = pickle.loads(out.read_bytes())
    hits = [sample['pred_label'].item() == sample['gt_label'].item() for sample in predictions]
    assert report['results']['accuracy']['top1'] == pytest.approx(100 * sum(hits) / 6, abs=1e-3)


def test_visualizations__of_equal_file_names_do_not_overwrite_each_other(trained, folders, tmp_path):
    for folder in (folders / 'val').iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f'{number}.png')
    checkpoint, shown = str(trained('eca') / 'epoch_1.pth'), tmp_path / 'shown'
    evaluate([CONFIG, checkpoint, '--work-dir', str(tmp_path), '--show-dir', str(shown), *options(folders)])
    assert len(list(shown.rglob('*.png'))) == 6


def test_evaluation__rejects_folders_of_other_classes(trained, folders, tmp_path, capsys):
    (folders / 'val/extra').mkdir()
    (folders / 'val/extra/0.png').write_bytes(next((folders / 'val/circle').iterdir()).read_bytes())
    with pytest.raises(SystemExit):
        evaluate(
            [CONFIG, str(trained('eca') / 'epoch_1.pth'), '--work-dir', str(tmp_path), *options(folders)]
        )
    assert 'has 4 classes (circle, extra, square, triangle), but model.head.num_classes' in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_trained_classifier__becomes_the_backbone_of_a_detector(trained, attention, tmp_path):
    from eca_mmdet import ECAResNet

    source, target = trained(attention) / 'epoch_1.pth', tmp_path / 'backbone.pth'
    convert([str(source), str(target), '--eca-kernel-sizes', 'none'] if attention == 'none' else
            [str(source), str(target)])  # fmt: skip
    init = dict(type='Pretrained', checkpoint=str(target))
    backbone = ECAResNet(depth=18, attention=attention, init_cfg=init)
    backbone.init_weights()
    weights = read_checkpoint(source)['state_dict']
    ours = backbone.state_dict()
    assert {f'backbone.{name}' for name in ours} == {name for name in weights if not name.startswith('head.')}
    for name, value in ours.items():
        torch.testing.assert_close(value, weights[f'backbone.{name}'], rtol=0, atol=0)


def test_converted_classifier__is_evaluated_like_its_source(trained, made_folders, tmp_path, capsys):
    source, target = trained('se') / 'epoch_1.pth', tmp_path / 'classifier.pth'
    convert([str(source), str(target), '--to', 'mmpretrain'])
    assert 'python tools/test.py configs/classification/senet18_imagenet.py' in capsys.readouterr().out
    results = []
    for checkpoint in (source, target):
        more = options(made_folders, 'model.backbone.attention=se')
        evaluate([CONFIG, str(checkpoint), '--work-dir', str(tmp_path), *more])
        results.append(json.loads((tmp_path / 'results.json').read_text())['results'])
    assert results[0] == results[1]
