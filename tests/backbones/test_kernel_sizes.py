import pytest

from eca_mmdet.backbones.kernel_sizes import grouped_kernel_sizes, stage_kernel_sizes

R50 = (256, 512, 1024, 2048)


@pytest.mark.parametrize(
    ('sizes', 'expected'),
    [
        (5, (5, 5, 5, 5)),
        ((3, 3, 5, 7), (3, 3, 5, 7)),
        ([1, 3, 5, 7], (1, 3, 5, 7)),
        ('3557', (3, 5, 5, 7)),
        (3557, (3, 5, 5, 7)),  # as --cfg-options passes it
        ('adaptive', (5, 5, 5, 7)),
        (None, (3, 5, 7, 7)),
    ],
)
def test_kernel_sizes__are_parsed_to_one_size_per_stage(sizes, expected):
    assert stage_kernel_sizes(sizes, R50, default=(3, 5, 7, 7)) == expected


def test_default_kernel_sizes__are_truncated_to_the_stages_in_use():
    assert stage_kernel_sizes(None, R50[:3], default=(3, 5, 7, 7)) == (3, 5, 7)


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        (4, 'positive odd integer'),
        ('3456', 'positive odd integer'),
        ((3, 5, 5), '3 entries .* 4 stages'),
        ('355', '3 entries .* 4 stages'),
        ('k3557', "allowed are one odd integer .* 'adaptive'"),
        (2.5, 'allowed are'),
        (dict(a=1), 'allowed are'),
        ((3, 5, 5, 'x'), 'positive odd integer'),
        (-1, 'positive odd integer'),
        (None, 'allowed are'),
    ],
)
def test_wrong_kernel_sizes__raise_an_error_that_lists_allowed_values(sizes, message):
    with pytest.raises(ValueError, match=message) as error:
        stage_kernel_sizes(sizes, R50)
    assert "'3557'" in str(error.value)


MOBILENET = dict(groups=(0, 0, 1), stage_channels=(16, 64, 128), default=(1, 3))


@pytest.mark.parametrize(
    ('sizes', 'expected'),
    [
        (None, (1, 1, 3)),
        ('35', (3, 3, 5)),
        ([3, 5], (3, 3, 5)),
        ((13, 13), (13, 13, 13)),
        (5, (5, 5, 5)),
        ('135', (1, 3, 5)),
        ('adaptive', (3, 3, 5)),
    ],
)
def test_grouped_kernel_sizes__are_parsed_to_one_size_per_stage(sizes, expected):
    assert grouped_kernel_sizes(sizes, **MOBILENET) == expected


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        (13, r'Write \(13, 13\) or \(1, 3\)'),  # '13' as --cfg-options passes it
        (-3, 'positive odd integer'),
        ('14', 'positive odd integer'),
        ('1x', "allowed are .* 'adaptive', and one size per group of stages"),
        ((1, 3, 5, 7), '4 entries .* 3 stages'),
        ((1, 'x'), 'positive odd integer'),
        (2.5, 'allowed are'),
    ],
)
def test_wrong_grouped_kernel_sizes__raise_an_error_that_lists_allowed_values(sizes, message):
    with pytest.raises(ValueError, match=message):
        grouped_kernel_sizes(sizes, **MOBILENET)
