"""Faulty annotation files: what is rejected, and that mmdet would fail on it."""

import pytest
from annotation_edits import DELETE, check, edit, run_mmdet
from tiny_coco import load, tiny_coco, write

from eca_mmdet.datasets.mask_checks import decompress

NAN, INF = float('nan'), float('inf')
POLYGON = [5, 5, 25, 5, 25, 25]
# Faults that stop mmdet: kind of record, field, value, use of the file, part of the message.
STOPPING_FAULTS = [
    ('images', 'id', DELETE, 'load', 'images without id: 1'),
    ('images', 'file_name', DELETE, 'load', 'images without file_name: 1, first id 1'),
    ('images', 'height', DELETE, 'load', 'images without height'),
    ('images', 'width', DELETE, 'load', 'images without width'),
    ('images', 'width', '60', 'load', 'width is not a positive number'),
    ('images', 'height', None, 'load', 'height or width is not a positive'),
    ('images', 'file_name', 5, 'load', 'file_name is not a string'),
    ('images', 'id', [1], 'load', 'whose id is not a number'),
    ('categories', 'id', DELETE, 'load', 'categories without id'),
    ('categories', 'name', DELETE, 'load', 'categories without name'),
    ('annotations', 'id', DELETE, 'load', 'annotations without id'),
    ('annotations', 'image_id', DELETE, 'load', 'annotations without image_id'),
    ('annotations', 'category_id', DELETE, 'load', 'annotations without category_id'),
    ('annotations', 'id', 12, 'load', 'annotations with a duplicate id: 1, first id 12'),
    ('annotations', 'bbox', DELETE, 'load', 'annotations without bbox: 1, first id 11'),
    ('annotations', 'bbox', [1, 2, 3], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'bbox', ['5', '5', '20', '20'], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'bbox', [5, 5, None, 20], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'area', DELETE, 'load', 'annotations without area'),
    ('annotations', 'area', '400', 'load', 'area is not a number'),
    ('annotations', 'segmentation', DELETE, 'bitmap', 'without segmentation, which is needed to train'),
    ('annotations', 'segmentation', DELETE, 'polygon', 'without segmentation'),
    ('annotations', 'segmentation', [], 'bitmap', 'without segmentation'),
    ('annotations', 'segmentation', None, 'bitmap', 'without segmentation'),
    ('annotations', 'segmentation', POLYGON, 'bitmap', r'not a list of polygons'),
    ('annotations', 'segmentation', [[*POLYGON[:5], 'a']], 'bitmap', 'coordinate that is not a number'),
    ('annotations', 'segmentation', 'mask.png', 'bitmap', 'neither polygons nor run lengths'),
    ('annotations', 'segmentation', dict(size=[30, 60], counts=[1800]), 'bitmap', 'the size of its image'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts=[2400, 9]), 'bitmap', 'do not add up'),
    ('annotations', 'iscrowd', DELETE, 'bbox', 'annotations without iscrowd: 1'),
    ('annotations', 'iscrowd', None, 'bbox', 'iscrowd is not 0 or 1'),
    ('annotations', 'iscrowd', DELETE, 'proposal_fast', 'annotations without iscrowd'),
    ('annotations', 'area', DELETE, 'segm', 'annotations without area'),
    ('annotations', 'bbox', DELETE, 'bbox', 'annotations without bbox'),
    ('annotations', 'segmentation', DELETE, 'segm', 'which is needed to evaluate masks'),
    ('annotations', 'segmentation', [[5, 5, 25, 25]], 'segm', 'fewer than three points'),
    ('annotations', 'segmentation', dict(counts=[2400]), 'segm', 'the size of its image'),
    ('annotations', 'segmentation', dict(size=[40, 60]), 'segm', 'neither polygons nor run lengths'),
]  # fmt: skip
# Faults that mmdet does not report: it uses wrong data, or the process crashes.
SILENT_FAULTS = [
    ('annotations', 'segmentation', dict(size=[60, 40], counts=[2400]), 'bitmap', 'the size of its image'),
    ('images', 'id', 2, 'load', 'images with a duplicate id: 1, first id 2'),
    ('images', 'id', '2', 'bbox', 'images whose ids are not all numbers or all strings'),
    ('categories', 'id', 7, 'load', 'categories with a duplicate id'),
    ('annotations', 'bbox', [5, 5, INF, 20], 'load', 'bbox is not finite'),
    ('annotations', 'bbox', [NAN, 5, 20, 20], 'bbox', 'bbox is not finite'),
    ('annotations', 'area', NAN, 'load', 'area is not a number'),
    ('annotations', 'iscrowd', '0', 'load', 'iscrowd is a string'),
    ('annotations', 'segmentation', [[*POLYGON[:5], NAN]], 'bitmap', 'coordinate that is not finite'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts=[900]), 'bitmap', 'do not add up'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts='`<Pb1'), 'bitmap', 'do not add up'),
    ('annotations', 'segmentation', dict(size=[60, 40], counts=[2400]), 'segm', 'the size of its image'),
]  # fmt: skip


def test_valid_file__passes_for_every_use(tmp_path):
    path = write(tmp_path / 'a.json', tiny_coco())
    for use in ('load', 'bitmap', 'polygon', 'bbox', 'segm', 'proposal', 'proposal_fast'):
        assert check(path, use) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(('kind', 'field', 'value', 'use', 'message'), STOPPING_FAULTS + SILENT_FAULTS)
def test_fault__is_reported_with_its_count_and_first_record(tmp_path, kind, field, value, use, message):
    content = tiny_coco()
    edit(content, kind, 0, field, value)
    with pytest.raises(ValueError, match=f'(?s)a.json has faulty records.*{message}'):
        check(write(tmp_path / 'a.json', content), use)


@pytest.mark.parametrize(('kind', 'field', 'value', 'use', 'message'), STOPPING_FAULTS)
def test_rejected_file__stops_mmdet(tmp_path, kind, field, value, use, message):
    content = tiny_coco()
    edit(content, kind, 0, field, value)
    with pytest.raises(Exception):  # noqa: B017  any exception
        run_mmdet(write(tmp_path / 'a.json', content), use, content)


@pytest.mark.parametrize(
    ('field', 'value', 'use'),
    [
        ('bbox', [5, 5, 0, 20], 'load'),
        ('bbox', [100, 5, 20, 20], 'load'),
        ('area', 0, 'load'),
        ('category_id', 99, 'load'),
        ('image_id', 99, 'load'),
        ('ignore', 1, 'load'),
        ('iscrowd', DELETE, 'load'),
        ('segmentation', DELETE, 'load'),
        ('segmentation', [[1, 2, 3]], 'bitmap'),
        ('segmentation', dict(size=[40, 60]), 'bitmap'),
        ('segmentation', dict(size=[1, 1], counts=[1]), 'polygon'),
        ('segmentation', DELETE, 'bbox'),
        ('bbox', DELETE, 'segm'),
    ],
)
def test_records_that_mmdet_ignores__are_accepted(tmp_path, field, value, use):
    content = tiny_coco()
    edit(content, 'annotations', 0, field, value)
    path = write(tmp_path / 'a.json', content)
    check(path, use)
    run_mmdet(path, use, content)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is not valid JSON'),
        ('\ufeff{}', 'another encoding'),
        ('[' * 100000, 'is not valid JSON'),
        ('{"images": [1], "categories": []}', 'that are not objects'),
        ('{"images": [{}], "categories": 5}', r"\['categories'\] missing"),
        ('{"images": [{}], "categories": [], "annotations": null}', r"\['annotations'\] missing"),
    ],
)
def test_file_in_another_format__is_rejected(tmp_path, text, message):
    path = tmp_path / 'a.json'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=f'(?s)a.json .*{message}'):
        check(path, 'load')


def test_test_set__needs_no_annotations(tmp_path):
    content = tiny_coco()
    del content['annotations']
    path = write(tmp_path / 'image_info.json', content)
    assert check(path, 'load') == {}
    assert len(load(path, is_trained=False)) == 3


def test_decompress__inverts_the_compression_of_pycocotools():
    assert decompress('`<Pb1`<') == [400, 1600, 400]
    with pytest.raises(ValueError, match='in run lengths'):
        decompress('\u00e9')
