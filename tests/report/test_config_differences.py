"""Differences between the configs of runs."""

from eca_mmdet.report.config_differences import ABSENT, config_differences, flatten


def test_flatten__names_nested_values_and_keeps_lists_of_numbers():
    config = dict(model=dict(depth=18, mean=[1, 2]), hooks=[dict(type='A')], empty={})
    assert dict(flatten(config)) == {
        'model.depth': '18',
        'model.mean': '[1, 2]',
        'hooks.0.type': "'A'",
        'empty': '{}',
    }


def test_differences__are_only_what_differs():
    first = dict(lr=0.1, model=dict(depth=18, norm='BN'), work_dir='a')
    second = dict(lr=0.1, model=dict(depth=50, norm='BN', extra=None), work_dir='b')
    assert config_differences([first, second]) == [
        ('model.depth', ['18', '50']),
        ('model.extra', [ABSENT, 'None']),
    ]


def test_a_number_and_its_text__differ():
    assert config_differences([dict(seed=1), dict(seed='1')]) == [('seed', ['1', "'1'"])]


def test_one_config__has_no_differences():
    assert config_differences([dict(a=1)]) == []
