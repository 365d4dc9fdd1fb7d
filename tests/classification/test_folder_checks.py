import shutil

import pytest
from conftest import ROOT

from eca_mmdet.apis import load_config

pytestmark = pytest.mark.usefixtures('mmpretrain')
CONFIG = str(ROOT / 'configs/classification/ecanet18_shapes.py')
TRAIN = 'train_dataloader.dataset'


def check(folders, *splits, config=CONFIG, **options):
    from mmengine.registry import init_default_scope

    from eca_mmdet.classification.folder_checks import check_folders

    init_default_scope('mmpretrain')
    check_folders(load_config(config, {'data_root': str(folders), **options}), splits or ('train', 'val'))


def test_check__accepts_the_folders_of_the_tool(folders):
    check(folders)
    check(folders, 'test')


def empty_class(root):
    (root / 'train/.ipynb_checkpoints').mkdir()


def broken_image(root):
    next((root / 'val/square').iterdir()).write_bytes(b'not an image')
    for path in sorted((root / 'val/square').iterdir())[1:]:
        path.unlink()


def other_class(root):
    (root / 'val/square').rename(root / 'val/rectangle')


def flat(root):
    for path in (root / 'train').iterdir():
        shutil.rmtree(path)
    (root / 'train/0.png').write_bytes(b'')


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (lambda root: shutil.rmtree(root), FileNotFoundError, r'image folder .*train.* not found.*\n.*ln -s'),
        (
            lambda root: shutil.rmtree(root / 'val'),
            FileNotFoundError,
            'val of val_dataloader.dataset not found',
        ),
        (flat, ValueError, 'has no class folders. .*CLASS/IMAGE.jpg'),
        (empty_class, ValueError, '1 class folders of train_.* have no images: .ipynb_checkpoints'),
        (
            lambda root: shutil.rmtree(root / 'train/square'),
            ValueError,
            r'has 2 classes \(circle, triangle\)',
        ),
        (other_class, ValueError, 'Only in val_.*: rectangle. Only in train_.*: square'),
        (
            broken_image,
            ValueError,
            '1 of 3 sampled images of val_.* cannot be read, .* .*val/square',
        ),
    ],
)
def test_check__rejects_unusable_folders(folders, change, error, message):
    change(folders)
    with pytest.raises(error, match=message):
        check(folders)


def test_check__warns_about_a_validation_class_without_images(folders, capsys):
    for path in (folders / 'val/square').iterdir():
        path.unlink()
    check(folders)
    assert '1 class folders of val_dataloader.dataset have no images: square' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.head.num_classes': 10}, '3 classes .*num_classes is 10. Use\n.*model.head.num_classes=3'),
        ({f'{TRAIN}.metainfo.classes': ['a', 'b']}, r'3 class folders .*declares 2 classes \(a, b\)'),
        ({f'{TRAIN}.classes': ['square', 'circle', 'triangle']}, 'numbered in the order of the folder names'),
    ],
)
def test_check__rejects_classes_that_do_not_fit_the_folders(folders, options, message):
    with pytest.raises(ValueError, match=message):
        check(folders, **options)


def annotated(folders, lines):
    (folders / 'labels.txt').write_text(lines)
    return {f'{TRAIN}.ann_file': 'labels.txt', f'{TRAIN}.metainfo.classes': ['a', 'b', 'c']}


@pytest.mark.parametrize(
    ('lines', 'error', 'message'),
    [
        ('circle/00000.png 3', ValueError, 'label 3, .* has 3 classes: labels are 0 to 2'),
        ('circle/00000.png', ValueError, 'must have lines "IMAGE LABEL"'),
        ('', ValueError, 'must have lines "IMAGE LABEL"'),
        ('circle/none.png 0', FileNotFoundError, '1 of 1 sampled images .*circle/none.png'),
    ],
)
def test_annotation_file__is_rejected_with_wrong_lines(folders, lines, error, message):
    options = annotated(folders, lines)
    with pytest.raises(error, match=message):
        check(folders, 'train', **options)


def test_annotation_file__is_accepted_with_labels_of_existing_images(folders):
    check(folders, 'train', **annotated(folders, 'circle/00000.png 0\nsquare/00001.png 2\n'))


def test_missing_annotation_file__is_reported(folders):
    with pytest.raises(FileNotFoundError, match='annotation file .*none.txt of train_'):
        check(folders, 'train', **{f'{TRAIN}.ann_file': 'none.txt'})


def test_imagenet__needs_all_of_its_class_folders(folders):
    config = str(ROOT / 'configs/classification/ecanet18_imagenet.py')
    with pytest.raises(ValueError, match=r'3 class folders \(circle, .*declares 1000 classes \(tench'):
        check(folders, config=config)


def test_cifar__missing_without_download_names_the_archive(tmp_path):
    config = str(ROOT / 'configs/classification/resnet18_cifar10.py')
    with pytest.raises(FileNotFoundError, match='CIFAR10 of train_.*data_batch_1.*\n    https://.*cifar-10'):
        check(tmp_path, config=config, **{f'{TRAIN}.download': False})


def test_cifar__with_its_files_is_accepted(tmp_path):
    from mmpretrain.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        (folder / name).touch()
    check(tmp_path, config=str(ROOT / 'configs/classification/resnet18_cifar10.py'))


@pytest.mark.parametrize(
    ('trained', 'accepted'),
    [(['circle', 'square', 'triangle'], True), (['square', 'circle', 'triangle'], False)],
)
def test_checkpoint__with_another_class_order_is_rejected(folders, trained, accepted):
    from mmengine.registry import init_default_scope

    from eca_mmdet.classification.task import ClassificationTask

    init_default_scope('mmpretrain')
    cfg = load_config(CONFIG, dict(data_root=str(folders)))
    meta = dict(dataset_meta=dict(classes=trained))
    if accepted:
        ClassificationTask().check_checkpoint(cfg, 'test', meta, 'x.pth')
    else:
        with pytest.raises(ValueError, match='x.pth was trained on the classes square, circle.*order'):
            ClassificationTask().check_checkpoint(cfg, 'test', meta, 'x.pth')


def test_example_of_the_documentation__reads_class_folders(folders, tmp_path):
    page = (ROOT / 'docs/classification.md').read_text()
    config = tmp_path / 'mine.py'
    config.write_text(page.split('```python\n')[1].split('```')[0])
    check(folders, 'train', 'val', 'test', config=str(config), **{'model.head.num_classes': 3})
    with pytest.raises(ValueError, match='--cfg-options model.head.num_classes=3'):
        check(folders, config=str(config))
