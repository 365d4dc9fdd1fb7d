import json

import pytest
from mmengine.config import Config

from eca_mmdet.evaluation import collect_results, explain_empty, results_table, split_by_type, write_results

METRICS = {
    f'{kind}/{kind}_{name}': value
    for kind, base in (('bbox', 0.5), ('segm', 0.25))
    for name, value in zip(
        ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'), (base, 0.9, 0.8, 0.1, 0.2, -1.0)
    )
}


def test_collect__orders_by_type_and_marks_what_the_data_lacks():
    results = collect_results(METRICS)
    assert results['bbox'] == dict(AP=0.5, AP50=0.9, AP75=0.8, APs=0.1, APm=0.2, APl=None)
    assert results['segm']['AP'] == 0.25


def test_collect__keeps_the_classes_of_bbox_and_segm_apart():
    classes = {'bbox/cat_precision': 0.7, 'segm/cat_precision': 0.6, 'segm/dog_precision': float('nan')}
    results = collect_results({**METRICS, **classes})
    assert results['bbox']['per_class'] == {'cat': 0.7}
    assert results['segm']['per_class'] == {'cat': 0.6, 'dog': None}


def test_collect__of_nothing_is_empty():
    assert collect_results({}) == {}


def test_table__has_a_row_a_type_and_the_six_columns():
    lines = results_table(collect_results({**METRICS, 'bbox/cat_precision': 0.7})).splitlines()
    assert lines[1].split() == [
        '|',
        '|',
        'AP',
        '|',
        'AP50',
        '|',
        'AP75',
        '|',
        'APs',
        '|',
        'APm',
        '|',
        'APl',
        '|',
    ]
    assert lines[3].split() == ['|', 'bbox', '|', '0.500', '|', '0.900', '|', '0.800', '|', '0.100', '|', '0.200', '|', '-', '|']  # fmt: skip # noqa: E501
    assert any(line.split()[1:4] == ['cat', '|', '0.700'] for line in lines)


@pytest.mark.parametrize('metric', ['CocoMetric', 'FastCocoMetric'])
def test_split__gives_each_type_a_prefix_and_leaves_its_input_alone(metric):
    evaluator = dict(type=metric, metric=['bbox', 'segm'], ann_file='a.json')
    first, second = split_by_type(evaluator, classwise=True)
    assert (first['metric'], first['prefix'], first['classwise']) == ('bbox', 'bbox', True)
    assert (second['metric'], second['prefix'], second['ann_file']) == ('segm', 'segm', 'a.json')
    assert evaluator == dict(type=metric, metric=['bbox', 'segm'], ann_file='a.json')


def test_json__holds_the_results_and_what_they_belong_to(tmp_path):
    write_results(tmp_path / 'a/results.json', collect_results(METRICS), checkpoint='x.pth')
    content = json.loads((tmp_path / 'a/results.json').read_text())
    assert content['checkpoint'] == 'x.pth'
    assert content['results']['segm']['APl'] is None


@pytest.mark.parametrize(
    ('detections', 'text'),
    [
        (0, 'no detection in 7 images reached score_thr=0.05'),
        (12, '12 detections in 7 images, none of them right'),
    ],
)
def test_empty_result__says_why_it_may_be(detections, text):
    cfg = Config(dict(model=dict(test_cfg=dict(rcnn=dict(score_thr=0.05)))))
    message = explain_empty(cfg, detections, images=7, trained_iters=3)
    assert text in message
    assert 'hardly trained (it says 3 iterations)' in message
