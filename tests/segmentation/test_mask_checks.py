"""Folders, files, masks, classes and heads are checked before a run. Each fault is named with a way out."""

import re
import shutil
from copy import deepcopy

import cv2
import numpy as np
import pytest

pytest.importorskip('mmseg')

from mask_data import CLASSES, example_mask, write_config, write_dataset  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from eca_mmdet.apis import load_config  # noqa: E402
from eca_mmdet.meta_device import build_on_meta  # noqa: E402
from eca_mmdet.segmentation.mask_dataset_checks import check_mask_datasets  # noqa: E402


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('data') / 'mine')


@pytest.fixture(scope='module')
def settings(dataset, tmp_path_factory):
    return load_config(str(write_config(tmp_path_factory.mktemp('config'), 'DATA')))


@pytest.fixture
def root(dataset, tmp_path):
    """A copy of the dataset, which a test may damage."""
    return shutil.copytree(dataset, tmp_path / 'mine')


@pytest.fixture
def cfg(settings, root):
    from eca_mmdet.apis.config import _replace_data_root

    init_default_scope('mmseg')
    cfg = deepcopy(settings)
    _replace_data_root(cfg, f'{root}/')
    return cfg


def check(cfg, splits=('train', 'val'), model=None, **options):
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    check_mask_datasets(cfg, splits, model)


def test_correct_dataset__passes_without_a_message(cfg, capsys):
    check(cfg, ('train', 'val', 'test'))
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize(
    ('gone', 'message'),
    [
        ('', r'data folder .*mine/ of train_dataloader.dataset not found.*\n.*ln -s'),
        (
            'images/train',
            'image folder .*images/train of train_dataloader.dataset not found.*data_prefix.img_path',
        ),
        ('masks/val', 'mask folder .*masks/val of val_dataloader.dataset not found(.|\n)*make_shapes.py'),
        ('masks/train/002.png', '1 of 4 masks of train_dataloader.dataset not found, the first is .*002.png'),
    ],
)
def test_missing_files__are_named(cfg, root, gone, message):
    path = root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError) as error:
        check(cfg)
    assert re.search(message, str(error.value), re.S), error.value


def test_images_of_another_suffix__are_listed(cfg):
    with pytest.raises(FileNotFoundError, match=r"the suffixes there are \{'.jpg': 4\}"):
        check(cfg, train_dataloader__dataset__img_suffix='.png')


def test_masks_without_an_image__are_reported(cfg, root, capsys):
    (root / 'images/train/001.jpg').unlink()
    check(cfg)
    assert '1 masks of train_dataloader.dataset have no image' in capsys.readouterr().out


def test_annotation_file__must_exist_and_name_images(cfg, root):
    with pytest.raises(
        FileNotFoundError, match='names.txt not found. It is train_dataloader.dataset.ann_file'
    ):
        check(cfg, train_dataloader__dataset__ann_file='names.txt')
    (root / 'names.txt').write_text('000\nnothing\n')
    with pytest.raises(FileNotFoundError, match='names 1 images .* first nothing'):
        check(cfg)


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (np.zeros((64, 64, 3), np.uint8), 'has 3 channels. A mask has one channel'),
        (np.full((64, 64), 300, np.uint16), 'has values up to 300'),
        (np.zeros((32, 64), np.uint8), 'has 64 x 32 pixels, but its image .* has 64 x 64'),
        (
            np.full((64, 64), 3, np.uint8),
            'have the values 0 to 3, 255, and it has 3 classes.*reduce_zero_label=True',
        ),
    ],
)
def test_wrong_masks__are_named(cfg, root, mask, message):
    cv2.imwrite(str(root / 'masks/train/001.png'), mask)
    with pytest.raises(ValueError, match=message):
        check(cfg)


def test_damaged_mask__is_named(cfg, root):
    path = root / 'masks/val/000.png'
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match='000.png of val_dataloader.dataset cannot be read as a mask'):
        check(cfg)


def test_palette_masks__are_read_as_labels(cfg, root):
    from PIL import Image

    image = Image.fromarray(example_mask(1), 'P')
    image.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
    image.save(root / 'masks/train/001.png')
    check(cfg)
    cfg.train_dataloader.dataset.pipeline[1].imdecode_backend = 'cv2'
    with pytest.raises(ValueError, match='has 3 channels(.|\n)*imdecode_backend="pillow"'):
        check(cfg)


def test_rotated_images__have_the_size_that_mmcv_reads(cfg, root):
    """An image with an EXIF orientation of 6 is stored on its side."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (64, 40)).save(root / 'images/train/001.jpg', exif=exif)
    assert cv2.imread(str(root / 'images/train/001.jpg')).shape == (64, 40, 3)
    cv2.imwrite(str(root / 'masks/train/001.png'), np.ones((64, 40), np.uint8))
    check(cfg)


def test_label_255__needs_to_be_ignored(cfg):
    message = 'value 255 marks unlabelled pixels, but model.decode_head.ignore_index is 7'
    with pytest.raises(ValueError, match=message):
        check(cfg, model__decode_head__ignore_index=7)
    with pytest.raises(ValueError, match='but val_evaluator.ignore_index is 9'):
        check(cfg, ('val',), val_evaluator__ignore_index=9)


def test_reduce_zero_label__must_fit_the_masks_and_load_annotations(cfg):
    with pytest.raises(ValueError, match="0 is the class 'background'. Set reduce_zero_label=False"):
        check(cfg, train_dataloader__dataset__reduce_zero_label=True)
    cfg.train_dataloader.dataset.pipeline[1].reduce_zero_label = False
    with pytest.raises(ValueError, match='LoadAnnotations has reduce_zero_label=False. Remove the latter'):
        check(cfg)


def test_classes_without_pixels__are_reported_for_training(cfg, root, capsys):
    for path in (root / 'masks/train').iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[labels == 2] = 0
        cv2.imwrite(str(path), labels)
    check(cfg)
    assert (
        "1 classes of train_dataloader.dataset have no pixel in its masks: ['bar']" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (('background', 'square', 'square'), "contains \\['square'\\] twice"),
        ('background', 'must be a list of names'),
        (('background', 'bar', 'square'), "different labels for the class 'bar': 1 and 2"),
        (
            ('background', 'square', 'bar', 'x'),
            'model.decode_head.num_classes is 3, but val_dataloader.dataset has 4',
        ),
    ],
)
def test_wrong_classes__are_named(cfg, classes, message):
    cfg.val_dataloader.dataset.metainfo = dict(classes=classes)
    with pytest.raises(ValueError, match=message):
        check(cfg)


def test_heads__may_have_one_output_for_two_classes(cfg, root):
    for split in ('train', 'val'):
        for path in (root / 'masks' / split).iterdir():
            cv2.imwrite(str(path), np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1))
    for part in (cfg.train_dataloader, cfg.val_dataloader):
        part.dataset.metainfo = dict(classes=CLASSES[:2])
    loss = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)
    cfg.model.decode_head.merge(dict(num_classes=2, out_channels=1, loss_decode=loss))
    check(cfg, model=build_on_meta(cfg.model, 'mmseg'))


def test_class_weights__need_one_value_per_class(cfg):
    cfg.model.decode_head.loss_decode.class_weight = [1.0, 2.0]
    with pytest.raises(ValueError, match='loss_decode.class_weight has 2 values, but there are 3 classes'):
        check(cfg, model=build_on_meta(cfg.model, 'mmseg'))


def test_class_weights__are_refused_with_ignored_pixels(cfg, root):
    cfg.model.decode_head.loss_decode.class_weight = [1.0, 2.0, 3.0]
    model = build_on_meta(cfg.model, 'mmseg')
    with pytest.raises(
        ValueError, match='class_weight is set, and the masks of train_dataloader.dataset have'
    ):
        check(cfg, model=model)
    for path in (root / 'masks/train').iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(labels == 255, 0, labels).astype(np.uint8))
    check(cfg, model=model)


def test_auxiliary_heads__are_compared_too(cfg):
    head = dict(type='FCNHead', in_channels=64, in_index=0, channels=8, num_classes=19)
    cfg.model.auxiliary_head = [{**head, 'num_classes': 3}, head]
    with pytest.raises(ValueError, match='model.auxiliary_head.1.num_classes is 19'):
        check(cfg, model=build_on_meta(cfg.model, 'mmseg'))


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (dict(type='ImageMaskDataset', data_root='s3://bucket/'), 'its files are not on the local disk'),
        (dict(type='ConcatDataset'), 'ConcatDataset does not derive from BaseSegDataset'),
    ],
)
def test_unknown_datasets__are_not_checked_and_the_log_says_why(cfg, capsys, options, reason):
    cfg.train_dataloader.dataset.update(options)
    check(cfg, ('train',))
    assert f'train_dataloader.dataset was not checked: {reason}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('pipeline', 'reason'),
    [
        ([dict(type='LoadImageFromFile')], 'its pipeline has no LoadAnnotations'),
        ([dict(type='LoadImageFromFile'), dict(type='LoadBiomedicalAnnotation')], 'no LoadAnnotations'),
    ],
)
def test_unknown_pipelines__are_not_checked_and_the_log_says_why(cfg, capsys, pipeline, reason):
    cfg.val_dataloader.dataset.pipeline = pipeline
    check(cfg, ('val',))
    printed = capsys.readouterr().out
    assert 'The masks of val_dataloader.dataset were not checked: ' in printed
    assert reason in printed
