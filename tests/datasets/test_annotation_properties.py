"""Random edits: the checks accept a file if and only if mmdet and pycocotools can use it."""

import json
from copy import deepcopy

import pytest
from annotation_edits import DELETE, check, edit, run_mmdet
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_coco import CLASSES, tiny_coco, write

values = st.one_of(
    st.just(DELETE), st.none(), st.booleans(), st.integers(-2, 100), st.floats(-50, 100),
    st.just(float('nan')), st.sampled_from(['', '1', 'abc']), st.lists(st.integers(-5, 70), max_size=8),
    st.lists(st.lists(st.floats(-5, 70), max_size=8), max_size=2),
    st.fixed_dictionaries({}, optional=dict(
        size=st.sampled_from([[40, 60], [60, 40], [40], None]),
        counts=st.sampled_from(['`<Pb1`<', '', 'abc', 5]) | st.lists(st.integers(-1, 2400), max_size=3))),
)  # fmt: skip
fields = st.one_of(
    st.tuples(st.just('images'), st.sampled_from(['id', 'file_name', 'height', 'width'])),
    st.tuples(st.just('categories'), st.sampled_from(['id', 'name'])),
    st.tuples(
        st.just('annotations'),
        st.sampled_from(
            ['id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation', 'ignore']
        ),
    ),
)
edits = st.lists(st.tuples(fields, st.integers(0, 1), values), min_size=1, max_size=3)
# Without proposal_fast, where mmdet fails if images have different numbers of objects (numpy >= 1.24).
FEWER = settings(max_examples=settings.default.max_examples // 2)  # an example runs mmdet's dataset or metric
uses = st.sampled_from(['load', 'bitmap', 'polygon', 'bbox', 'segm', 'proposal'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('property')


@FEWER
@given(edits=edits, use=uses)
def test_accepted_file__is_loaded_and_evaluated_by_mmdet(folder, edits, use):
    content = tiny_coco()
    for (kind, field), index, value in edits:
        edit(content, kind, index, field, value)
    path = write(folder / 'a.json', content)
    try:
        usable = check(path, use)
    except ValueError:
        return
    if use in ('load', 'bitmap', 'polygon') and not usable:
        return  # mmdet filters all images out; check_datasets rejects that (test_data_checks.py)
    names = [category['name'] for category in content['categories']]
    if [name for name in names if name in CLASSES] == list(CLASSES):  # label_checks handles other names
        run_mmdet(path, use, json.loads(path.read_text()))


# Edits that stop mmdet in any record. Silent faults such as NaN cannot be tested in this way.
def edits_of(kind, names, *choices):
    return st.tuples(st.tuples(st.just(kind), st.sampled_from(names)), st.sampled_from(choices))


stopping_edits = st.one_of(
    edits_of('images', ['id', 'file_name', 'height', 'width'], DELETE),
    edits_of('categories', ['id', 'name'], DELETE),
    edits_of('annotations', ['id', 'image_id', 'category_id', 'iscrowd'], DELETE),
    edits_of('annotations', ['bbox', 'area'], DELETE, None),
    edits_of('annotations', ['bbox'], [5, 5, 20], [5, 5, 20, 20, 1]),
    edits_of('annotations', ['segmentation'], DELETE, None, [], 'abc', [[1, 2, 3]]),
)


@FEWER
@given(edits=st.lists(st.tuples(stopping_edits, st.integers(0, 2)), max_size=2), use=uses)
def test_rejected_file__stops_mmdet(folder, edits, use):
    content = tiny_coco()
    for ((kind, field), value), index in edits:
        edit(content, kind, min(index, len(content[kind]) - 1), field, deepcopy(value))
    path = write(folder / 'a.json', content)
    try:
        check(path, use)
    except ValueError:
        with pytest.raises(Exception):  # noqa: B017
            run_mmdet(path, use, content)
