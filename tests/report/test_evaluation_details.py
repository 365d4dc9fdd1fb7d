"""Details of an evaluation and their file."""

import base64

import cv2
import numpy as np
import pytest

from eca_mmdet.report import (
    Confusion,
    Curves,
    EvaluationDetails,
    Example,
    encode_picture,
    read_evaluation,
    write_evaluation,
)


def test_file__returns_what_was_written(tmp_path):
    details = EvaluationDetails(
        title='bbox',
        classes={'cat': {'AP': 0.5, 'APs': None}},
        curves=Curves([0.0, 1.0], {'0.50': [1.0, None]}, {'cat': [1.0, None]}, '0.50'),
        confusion=Confusion.from_counts(['cat', 'dog'], np.array([[3, 1], [0, 2]]), 'a note'),
        examples=[Example('best', 'a.jpg', 'F1 1.00', [['truth', 'data:image/jpeg;base64,']])],
        note='sorted',
    )
    write_evaluation(tmp_path, {'coco/bbox_mAP': np.float32(0.5)}, [details], split='val', iteration=3)
    content = read_evaluation(tmp_path)
    found = content.pop('details')[0]
    assert content == dict(split='val', iteration=3, metrics={'coco/bbox_mAP': 0.5})
    assert found.confusion.counts == [[3, 1], [0, 2]]
    assert [tuple(pair) for pair in found.confusion.largest] == [('cat', 'dog', 1)]
    details.confusion = found.confusion
    assert found == details


def test_confusion__lists_the_largest_errors_first_and_no_zeros():
    counts = np.array([[9, 1, 0], [5, 9, 0], [2, 0, 9]])
    largest = Confusion.from_counts(['a', 'b', 'c'], counts, '').largest
    assert largest == [('b', 'a', 5), ('c', 'a', 2), ('a', 'b', 1)]


def test_confusion_of_a_thousand_classes__is_only_its_largest_errors():
    counts = np.eye(1000, dtype=int)
    counts[7, 8] = 4
    confusion = Confusion.from_counts([f'c{index}' for index in range(1000)], counts, '')
    assert (confusion.names, confusion.counts) == ([], None)
    assert confusion.largest == [('c7', 'c8', 4)]


@pytest.mark.parametrize(('width', 'expected'), [(40, (20, 40)), (200, (50, 100))])
def test_picture__is_reduced_to_the_width_but_never_enlarged(width, expected):
    prefix, data = encode_picture(np.full((50, 100, 3), 99, np.uint8), width).split(',')
    assert prefix == 'data:image/jpeg;base64'
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[:2] == expected


def test_work_directory_without_an_evaluation__has_none(tmp_path):
    assert read_evaluation(tmp_path) == {}
