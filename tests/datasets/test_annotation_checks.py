import time

import pytest
from annotation_edits import DELETE, check, edit, run_mmdet
from coco_samples import load, tiny_coco, write

from eca_mmdet.datasets.annotation_checks import Use, check_annotations, check_index
from eca_mmdet.datasets.mask_checks import decompress
from eca_mmdet.datasets.random_coco import random_coco

NAN, INF = float('nan'), float('inf')
POLYGON = [5, 5, 25, 5, 25, 25]
# kind of record, field, value, use, text of the message: mmdet stops at each of these.
STOPPED = [
    ('images', 'id', DELETE, 'load', 'images without id: 1'),
    ('images', 'file_name', DELETE, 'load', 'images without file_name: 1, first id 1'),
    ('images', 'height', DELETE, 'load', 'images without height'),
    ('images', 'width', DELETE, 'load', 'images without width'),
    ('images', 'width', '60', 'load', 'width is not a positive number'),
    ('images', 'height', None, 'load', 'height or width is not a positive'),
    ('images', 'file_name', 5, 'load', 'file_name is not text'),
    ('images', 'id', [1], 'load', 'whose id is not a number'),
    ('categories', 'id', DELETE, 'load', 'categories without id'),
    ('categories', 'name', DELETE, 'load', 'categories without name'),
    ('annotations', 'id', DELETE, 'load', 'annotations without id'),
    ('annotations', 'image_id', DELETE, 'load', 'annotations without image_id'),
    ('annotations', 'category_id', DELETE, 'load', 'annotations without category_id'),
    ('annotations', 'id', 12, 'load', 'annotations with the id of another: 1, first id 12'),
    ('annotations', 'bbox', DELETE, 'load', 'annotations without bbox: 1, first id 11'),
    ('annotations', 'bbox', [1, 2, 3], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'bbox', ['5', '5', '20', '20'], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'bbox', [5, 5, None, 20], 'load', r'bbox is not \[x, y, width, height\]'),
    ('annotations', 'area', DELETE, 'load', 'annotations without area'),
    ('annotations', 'area', '400', 'load', 'area is not a number'),
    ('annotations', 'segmentation', DELETE, 'bitmap', 'segmentation, which the mask head learns from'),
    ('annotations', 'segmentation', DELETE, 'polygon', 'without segmentation'),
    ('annotations', 'segmentation', [], 'bitmap', 'without segmentation'),
    ('annotations', 'segmentation', None, 'bitmap', 'without segmentation'),
    ('annotations', 'segmentation', POLYGON, 'bitmap', r'not a list of polygons'),
    ('annotations', 'segmentation', [[*POLYGON[:5], 'a']], 'bitmap', 'coordinate that is not a number'),
    ('annotations', 'segmentation', 'mask.png', 'bitmap', 'neither polygons nor run lengths'),
    ('annotations', 'segmentation', dict(size=[30, 60], counts=[1800]), 'bitmap', 'another size than its'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts=[2400, 9]), 'bitmap', 'do not add up'),
    ('annotations', 'iscrowd', DELETE, 'bbox', 'annotations without iscrowd: 1'),
    ('annotations', 'iscrowd', None, 'bbox', 'iscrowd is not 0 or 1'),
    ('annotations', 'iscrowd', DELETE, 'proposal_fast', 'annotations without iscrowd'),
    ('annotations', 'area', DELETE, 'segm', 'annotations without area'),
    ('annotations', 'bbox', DELETE, 'bbox', 'annotations without bbox'),
    ('annotations', 'segmentation', DELETE, 'segm', 'the evaluation of masks compares with'),
    ('annotations', 'segmentation', [[5, 5, 25, 25]], 'segm', 'fewer than three points'),
    ('annotations', 'segmentation', dict(counts=[2400]), 'segm', 'another size than its'),
    ('annotations', 'segmentation', dict(size=[40, 60]), 'segm', 'neither polygons nor run lengths'),
]  # fmt: skip
# mmdet goes on at these: it learns or compares with something else, or the process crashes.
SILENT = [
    ('annotations', 'segmentation', dict(size=[60, 40], counts=[2400]), 'bitmap', 'another size than its'),
    ('images', 'id', 2, 'load', 'images with the id of another: 1, first id 2'),
    ('images', 'id', '2', 'bbox', 'images with ids that are not all numbers or all text'),
    ('categories', 'id', 7, 'load', 'categories with the id of another'),
    ('annotations', 'bbox', [5, 5, INF, 20], 'load', 'bbox is not finite'),
    ('annotations', 'bbox', [NAN, 5, 20, 20], 'bbox', 'bbox is not finite'),
    ('annotations', 'area', NAN, 'load', 'area is not a number'),
    ('annotations', 'iscrowd', '0', 'load', 'iscrowd is text'),
    ('annotations', 'segmentation', [[*POLYGON[:5], NAN]], 'bitmap', 'segmentation is not finite'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts=[900]), 'bitmap', 'do not add up'),
    ('annotations', 'segmentation', dict(size=[40, 60], counts='`<Pb1'), 'bitmap', 'do not add up'),
    ('annotations', 'segmentation', dict(size=[60, 40], counts=[2400]), 'segm', 'another size than its'),
]  # fmt: skip


def test_sound_file__passes_for_every_use(tmp_path):
    path = write(tmp_path / 'a.json', tiny_coco())
    for use in ('load', 'bitmap', 'polygon', 'bbox', 'segm', 'proposal', 'proposal_fast'):
        assert check(path, use) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(('kind', 'field', 'value', 'use', 'message'), STOPPED + SILENT)
def test_fault__is_refused_with_its_number_and_first_record(tmp_path, kind, field, value, use, message):
    content = tiny_coco()
    edit(content, kind, 0, field, value)
    with pytest.raises(ValueError, match=f'(?s)a.json cannot be used as it is.*{message}'):
        check(write(tmp_path / 'a.json', content), use)


@pytest.mark.parametrize(('kind', 'field', 'value', 'use', 'message'), STOPPED)
def test_refused_file__would_stop_mmdet(tmp_path, kind, field, value, use, message):
    content = tiny_coco()
    edit(content, kind, 0, field, value)
    with pytest.raises(Exception):  # noqa: B017  a traceback of whatever kind
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
def test_what_mmdet_leaves_out_itself__is_not_refused(tmp_path, field, value, use):
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
def test_other_file__is_named(tmp_path, text, message):
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


def test_run_lengths__are_decompressed_as_pycocotools_compresses_them():
    assert decompress('`<Pb1`<') == [400, 1600, 400]
    with pytest.raises(ValueError, match='in run lengths'):
        decompress('\u00e9')


def test_check__of_a_large_file_is_quick():
    truth, _ = random_coco(1000, seed=3)
    truth['annotations'] = [
        {**annotation, 'id': 20000 * copy + annotation['id']}
        for copy in range(10)
        for annotation in truth['annotations']
    ]
    start = time.process_time()
    check_index(truth, 'a.json')
    used = {category['id'] for category in truth['categories']}
    check_annotations(truth, Use('a.json', used, 'bitmap'))
    # The 860,000 annotations of COCO's training set took 2 s on a two-core machine; this leaves 10 s.
    assert (time.process_time() - start) / len(truth['annotations']) < 12e-6
