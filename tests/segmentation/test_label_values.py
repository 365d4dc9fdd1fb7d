"""Values of masks against the classes: every fault is found and named, correct masks pass."""

import pytest

mmseg = pytest.importorskip('mmseg')

from eca_mmdet.segmentation.label_values import LabelUse, absent_classes, label_fault  # noqa: E402

CLASSES = ('background', 'road', 'car')


def use(**options):
    return LabelUse('train_dataloader.dataset', **{'classes': CLASSES, **options})


def pixels(*values):
    return dict.fromkeys(values, 10)


@pytest.mark.parametrize(
    ('values', 'options'),
    [
        ((0, 1, 2), {}),
        ((0, 1, 2, 255), {}),
        ((0, 2), {}),  # a class may be absent
        ((0, 1, 2, 3), dict(reduce_zero_label=True)),
        ((0, 2, 255), dict(reduce_zero_label=True)),
        ((0, 1, 2, 7), dict(ignore_index=7)),
        ((0, 1, 2, 3), dict(label_map={0: 0, 1: 255, 2: 1, 3: 2})),
        ((0, 255), {}),  # with three classes, some images may have only one
    ],
)
def test_correct_masks__have_no_fault(values, options):
    assert label_fault(pixels(*values), use(**options)) == ''


@pytest.mark.parametrize(
    ('values', 'options', 'message'),
    [
        (
            (0, 1, 2, 255),
            dict(ignore_index=0),
            'value 255 marks unlabelled pixels, but .* is 0. Set it to 255',
        ),
        ((0, 1, 2, 3), dict(reduce_zero_label=True, ignore_index=0), 'turns 0 into 255'),
        ((0, 1, 2, 3), {}, 'If 0 means unlabelled, set reduce_zero_label=True.*num_classes=4'),
        ((1, 2, 3), {}, 'numbered from 1. Set reduce_zero_label=True'),
        ((0, 1, 2), dict(reduce_zero_label=True), "0 is the class 'background'. Set reduce_zero_label=False"),
        ((0, 1, 2, 9), dict(reduce_zero_label=True), 'values 1 to 3; 9 are larger'),
        ((0, 1, 2, 7, 8), {}, r'7, 8 \(40.0% of the pixels\) belong to no class'),
        (range(256), {}, 'look like grey images. Save masks as PNG'),
        ((0, 255), dict(classes=('background', 'cell')), "class 'cell' would never occur"),
        ((255,), {}, 'No pixel is labelled'),
        ((0, 3), dict(label_map={0: 0, 1: 1, 2: 2}), 'If 0 means unlabelled'),
    ],
)
def test_wrong_masks__have_a_fault_that_says_what_to_do(values, options, message):
    import re

    fault = label_fault(pixels(*values), use(**options))
    assert re.search(message, fault), fault
    assert fault.startswith('The masks of train_dataloader.dataset have the values ')


def test_fault__shortens_long_lists_of_values():
    assert 'have the values 1 to 200, 204, 209,' in label_fault(pixels(*range(1, 201), 204, 209), use())


def test_labels__equal_those_of_mmseg(tmp_path):
    """The same file through mmseg's own transform."""
    import cv2
    import numpy as np
    from mmseg.datasets.transforms import LoadAnnotations

    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / 'x.png'), values)
    for reduce in (False, True):
        for label_map in (None, {0: 5, 1: 255, 2: 0}):
            results = dict(
                seg_map_path=str(tmp_path / 'x.png'),
                reduce_zero_label=reduce,
                label_map=label_map,
                seg_fields=[],
            )
            expected = LoadAnnotations()(results)['gt_seg_map'].ravel().tolist()
            own = use(reduce_zero_label=reduce, label_map=label_map)
            assert [own.used_label(value) for value in range(256)] == expected


def test_absent_classes__are_those_without_a_pixel():
    assert absent_classes(pixels(0, 3), use(reduce_zero_label=True)) == ['background', 'road']
