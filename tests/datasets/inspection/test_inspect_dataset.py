"""Every seeded fault is found under its name, and clean data has none."""

import json

import pytest
from conftest import load_tool
from mmengine.config import Config
from seeded_faults import ERRORS, HARMLESS, NOTES, WARNINGS
from tiny_coco import CONFIG, change

from eca_mmdet.apis import load_config
from eca_mmdet.datasets import make_shapes
from eca_mmdet.datasets.dataset_checks import check_datasets
from eca_mmdet.datasets.inspection import inspect_dataset

SEEDED = [(name, *case, 'error') for name, case in ERRORS.items()]
SEEDED += [(name, *case, 'warning') for name, case in WARNINGS.items()]
SEEDED += [(name, *case, 'note') for name, case in NOTES.items()]


def kinds(report, *severities):
    return {f.kind.name for _, f in report.findings() if not severities or f.kind.severity in severities}


@pytest.mark.parametrize(('name', 'seed', 'kind', 'severity'), SEEDED, ids=[case[0] for case in SEEDED])
def test_seeded_fault__is_found_under_its_name(data, name, seed, kind, severity):
    seed(data)
    report = inspect_dataset(data)
    found = {finding.kind.name: finding for _, finding in report.findings()}
    assert kind in found, list(found)
    assert found[kind].kind.severity == severity
    assert found[kind].count >= 1
    assert found[kind].examples
    assert severity == 'note' or found[kind].kind.remedy
    assert report.is_usable == (severity != 'error')


@pytest.mark.parametrize('name', HARMLESS)
def test_harmless_change__gives_no_finding(data, name):
    HARMLESS[name](data)
    assert kinds(inspect_dataset(data), 'error', 'warning') == set()


def test_several_faults__are_all_found_at_once(data):
    seeded = ('no bbox', 'no area', 'duplicate category name', 'truncated image', 'duplicate image id')
    for name in seeded[:1] + seeded[2:]:
        ERRORS[name][0](data)
    change(data, 'train', lambda content: content['annotations'][1].pop('area'))
    assert kinds(inspect_dataset(data), 'error') >= {ERRORS[name][1] for name in seeded}


# What training checks by itself: everything but the content of images, masks that it ignores, and evaluation.
TRAINING_LEAVES_OUT = {
    'truncated image',
    'EXIF',
    'swapped size',
    'no iscrowd',
    'no annotations',
    'only crowds',
}


@pytest.mark.parametrize('name', [name for name in ERRORS if name not in TRAINING_LEAVES_OUT])
def test_error__is_refused_by_training(data, cfg, name):
    ERRORS[name][0](data)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        check_datasets(cfg, ['train'])
    kind = getattr(error.value, 'kind', 'images not found')
    assert kind == ERRORS[name][1]


@pytest.mark.parametrize('name', ['box outside', 'unknown category', 'duplicate file name'])
def test_warning__is_in_the_log_of_a_training(data, cfg, capsys, name):
    WARNINGS[name][0](data)
    check_datasets(cfg, ['train'])
    printed = capsys.readouterr().out
    assert f'{WARNINGS[name][1]}: 1, first id' in printed
    assert 'check_dataset.py' in printed


def test_clean_shapes__have_no_findings(shapes, cfg):
    for data in (shapes, cfg):
        report = inspect_dataset(data)
        assert kinds(report, 'error', 'warning') == set()
        assert report.is_usable
        assert [len(part.images) for part in report.sources] == [8, 4]


@pytest.mark.parametrize('name', ['coco_mini', 'nuclei'])
def test_clean_real_data__has_no_findings(name, request):
    folder = request.getfixturevalue(name)
    assert kinds(inspect_dataset(folder), 'error', 'warning') == set()


def test_numbers__are_those_of_the_annotation_file(shapes):
    content = json.loads((shapes / 'annotations/instances_train2017.json').read_text())
    objects = [item for item in content['annotations'] if not item['iscrowd']]
    numbers = inspect_dataset(shapes, reads_images=False).sources[0].numbers
    assert numbers['images'] == 8
    assert numbers['objects'] == len(objects)
    assert numbers['crowds'] == len(content['annotations']) - len(objects)
    assert numbers['largest_image'] == [64, 64]
    names = {category['id']: category['name'] for category in content['categories']}
    for key, name in names.items():
        areas = [item['area'] for item in objects if item['category_id'] == key]
        expected = dict(
            small=sum(area < 1024 for area in areas),
            medium=sum(1024 <= area < 9216 for area in areas),
            large=sum(area >= 9216 for area in areas),
        )
        assert numbers['classes'][name] == expected


@pytest.mark.parametrize(
    ('classes', 'kind'),
    [
        (('circle', 'square', 'star'), 'classes of the config that are not in categories'),
        (('square', 'circle', 'triangle'), 'classes of the config in another order than categories'),
        (('circle', 'circle', 'triangle'), 'classes of the config with the same name'),
    ],
)
def test_classes_of_a_config__are_compared(cfg, classes, kind):
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)
    assert kind in kinds(inspect_dataset(cfg, reads_images=False), 'error')


def test_heads_of_a_config__are_compared(cfg):
    cfg.model.roi_head.bbox_head.num_classes = 80
    report = inspect_dataset(cfg, reads_images=False)
    assert kinds(report, 'error') == {'configs that do not fit the data'}
    assert 'num_classes is 80' in report.text()


def test_masks__are_not_checked_for_a_config_without_masks(data):
    cfg = load_config('eca_mmdet::retinanet_ecanet18_fpn_1x.py', dict(data_root=f'{data}'))
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=('circle', 'square', 'triangle'))
    cfg.model.bbox_head.num_classes = 3
    WARNINGS['mask elsewhere'][0](data)
    assert 'masks that are not inside their bbox' not in kinds(inspect_dataset(cfg, reads_images=False))
    assert 'masks that are not inside their bbox' in kinds(inspect_dataset(data, reads_images=False))


def test_other_formats__are_named_and_the_supported_ones_too(cfg):
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset = dict(type='VOCDataset', ann_file='a.txt')
    with pytest.raises(ValueError, match='(?s)train_dataloader.dataset was not inspected: .*Supported are'):
        inspect_dataset(cfg)
    with pytest.raises(ValueError, match='config of MMPretrain. Supported are'):
        inspect_dataset(Config(dict(default_scope='mmpretrain')))


def test_validation_set__gives_no_finding_of_shared_images_with_itself(shapes):
    file = shapes / 'annotations/instances_val2017.json'
    assert kinds(inspect_dataset(file), 'error', 'warning') == set()


@pytest.mark.parametrize(
    ('layout', 'annotations'),
    [
        ('images/train2017', 'annotations/instances_train2017.json'),
        ('train', 'annotations/instances_train2017.json'),
        ('images', 'annotations/train.json'),
        ('images', 'train.json'),
        ('train', 'train/_annotations.coco.json'),
    ],
)
def test_image_folder__is_found_in_usual_places(shapes, tmp_path, layout, annotations):
    (tmp_path / layout).parent.mkdir(parents=True, exist_ok=True)
    file = tmp_path / annotations
    (tmp_path / layout).mkdir(parents=True)
    for path in (shapes / 'train2017').iterdir():
        (tmp_path / layout / path.name).symlink_to(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((shapes / 'annotations/instances_train2017.json').read_text())
    report = inspect_dataset(file)
    assert report.sources[0].source.folder == str(tmp_path / layout)
    assert report.is_usable


def test_shared_images__are_those_of_another_dataset_that_are_copied(tmp_path, shapes):
    other = make_shapes(tmp_path / 'other', train=4, val=4, size=64, seed=7)
    val = shapes / 'annotations/instances_val2017.json'
    assert not kinds(inspect_dataset([other / 'annotations/instances_train2017.json', val]), 'warning')
    report = inspect_dataset([val, val])
    assert report.shared.findings['images that are in train and in val'].count == 4


@pytest.fixture
def tool(capsys):
    """Run ``tools/check_dataset.py``; return the exit code and what it prints."""

    def run(*arguments):
        with pytest.raises(SystemExit) as error:
            load_tool('check_dataset').main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert 'Traceback' not in printed.err
        return error.value.code, printed.out + printed.err

    return run


def test_exit_code__says_whether_training_works(data, tool):
    assert tool(data)[0] == 0
    WARNINGS['box outside'][0](data)
    code, printed = tool(data)
    assert code == 0
    assert 'warning: train: annotations whose bbox is outside the image: 1, first id ' in printed
    assert 'Usable, with 2 kinds of warnings.' in printed
    ERRORS['empty image'][0](data)
    code, printed = tool(CONFIG, '--cfg-options', f'data_root={data}')
    assert code == 1
    assert 'error: train: images whose file is empty: 1, first ' in printed
    assert '000001.jpg' in printed


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere.json'], 'error: nowhere.json: no such file or folder. Supported are'),
        (['nowhere.py'], 'error: nowhere.py: config not found'),
        (['{data}/val2017'], 'has no annotation file of the train set'),
        (['{data}', '--images', 'a'], '1 image folders are given for 2 annotation files'),
        (['{data}', '--images', '/a', '/b'], 'error: /a: no such folder. Name the image folder'),
        (['{data}', '--cfg-options', 'a=1'], '--cfg-options needs a config'),
        (['{data}', '--out', '{data}/x', '--samples', '-1'], '--samples is -1'),
        (['{data}/a', '{data}/b', '{data}/c'], 'name one or two'),
    ],
)
def test_wrong_use__is_one_message(shapes, tool, arguments, message):
    code, printed = tool(*(argument.format(data=shapes) for argument in arguments))
    assert code == 2
    assert message in printed


def test_images_in_no_usual_place__are_asked_for(data, tool):
    (data / 'train2017').rename(data / 'elsewhere')
    code, printed = tool(data)
    assert code == 2
    assert 'such as 000001.jpg. Tried: ' in printed
    assert tool(data / 'annotations/instances_train2017.json', '--images', data / 'elsewhere')[0] == 0
