"""RoIAlign for CPUs against mmcv's and against its definition."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv import ops
from plain_roi_align import plain_roi_align

from eca_mmdet.layers import roi_align as module
from eca_mmdet.layers import roi_regions
from eca_mmdet.layers.roi_align import RoIAlign, is_supported, roi_align
from eca_mmdet.layers.roi_regions import Grid

FORMATS = dict(
    contiguous=lambda x: x.contiguous(),
    channels_last=lambda x: x.contiguous(memory_format=torch.channels_last),
    sliced=lambda x: torch.nn.functional.pad(x, (1, 2, 3, 1))[:, :, 3:-1, 1:-2],
    transposed=lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
)
# Eighths meet pixel centres and the border exactly, other numbers do not.
coordinates = st.one_of(st.integers(-96, 320).map(lambda k: k / 8), st.floats(-12, 40, width=32))
sides = st.one_of(st.sampled_from([0.0, 1e-3, 0.5, 1.0, 7.0]), st.floats(0, 60, width=32))


@st.composite
def cases(draw, smallest=0.0):
    """Options of a layer, a shape, RoIs inside, outside, tiny and large, and a memory format."""
    options = dict(
        output_size=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        spatial_scale=draw(st.sampled_from([1.0, 0.5, 0.25])),
        sampling_ratio=draw(st.integers(0, 3)),
        aligned=draw(st.booleans()),
    )
    shape = tuple(draw(st.integers(1, most)) for most in (2, 4, 9, 9))
    sign = (
        st.just(1) if options['aligned'] else st.sampled_from([1, 1, -1])
    )  # aligned RoIs have no negative side
    rois = []
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(coordinates), draw(coordinates)
        width, height = draw(sides) * draw(sign), draw(sides) * draw(sign)
        rois.append([draw(st.integers(0, shape[0] - 1)), x, y, x + width, y + height])
    rois = torch.tensor(rois, dtype=torch.float64).view(-1, 5)
    return options, shape, rois, FORMATS[draw(st.sampled_from(sorted(FORMATS)))]


def run(layer, x, rois, grad=None):
    """Output and the features' gradient."""
    x = x.detach().requires_grad_()
    out = layer(x, rois)
    grad = torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape) if grad is None else grad
    return out.detach(), torch.autograd.grad(out, x, grad)[0]


def some_rois(count=40, size=64.0, dtype=torch.float32):
    start, side = torch.rand(count, 2) * size, torch.rand(count, 2) ** 2 * size
    return torch.cat([torch.randint(0, 2, (count, 1)), start, start + side], 1).to(dtype)


def compare_with_definition(layer, grid, x, rois):
    out, grad_x = run(layer, x, rois)
    n, c, h, w = x.shape
    matrix = plain_roi_align(x.shape, rois, grid, layer.spatial_scale)
    expected = (matrix @ x.permute(0, 2, 3, 1).reshape(-1, c)).view(-1, *grid.output_size, c)
    torch.testing.assert_close(out, expected.permute(0, 3, 1, 2), rtol=0, atol=1e-10, check_stride=False)
    rows = torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape).permute(0, 2, 3, 1)
    expected = (matrix.t() @ rows.reshape(-1, c)).view(n, h, w, c).permute(0, 3, 1, 2)
    torch.testing.assert_close(grad_x, expected, rtol=0, atol=1e-10, check_stride=False)


@given(cases())
def test_layer__is_its_definition_in_float64(case):
    options, shape, rois, form = case
    layer = RoIAlign(**options)
    grid = Grid(options['output_size'], options['sampling_ratio'], *((0.5, 0) if layer.aligned else (0, 1)))
    compare_with_definition(layer, grid, form(torch.randn(shape, dtype=torch.float64)), rois)


@given(cases())
def test_layer__equals_mmcv_on_contiguous_features(case):
    options, shape, rois, form = case
    x, rois = torch.randn(shape), rois.float()
    if options['aligned']:
        rois[:, 3:] = rois[:, 3:].maximum(rois[:, 1:3])  # rounding may have crossed the edges of empty RoIs
    out, grad_x = run(RoIAlign(**options), form(x), rois)
    expected, expected_grad = run(ops.RoIAlign(**options), x, rois)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad_x, expected_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('size', [7, 14])
def test_layer__equals_mmcv_at_the_size_of_a_detector(size, sampling_ratio):
    x, rois = torch.randn(2, 32, 40, 60), some_rois(100, 160.0)
    out, grad_x = run(RoIAlign(size, 0.25, sampling_ratio), FORMATS['channels_last'](x), rois)
    expected, expected_grad = run(ops.RoIAlign(size, 0.25, sampling_ratio), x, rois)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad_x, expected_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', FORMATS)
def test_output_and_gradient__are_channels_last_where_the_features_are(name):
    x = FORMATS[name](torch.randn(2, 8, 16, 12))
    wanted = torch.channels_last if name == 'channels_last' else torch.contiguous_format
    for found in run(RoIAlign(3), x, some_rois(5, 10.0)):
        assert found.is_contiguous(memory_format=wanted)


def test_channels_last_features__are_read_without_a_copy():
    x = FORMATS['channels_last'](torch.randn(2, 8, 16, 12))
    assert module._table(x, torch.float32).data_ptr() == x.data_ptr()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision__is_the_float32_result_rounded_once(dtype):
    x, rois, layer = torch.randn(2, 8, 16, 16).to(dtype), some_rois(), RoIAlign(4, 0.25)
    out, grad_x = run(layer, x, rois)
    grad = torch.sin(torch.arange(out.numel(), dtype=dtype)).view(out.shape)
    expected, expected_grad = run(layer, x.float(), rois, grad.float())
    torch.testing.assert_close(out, expected.to(dtype), rtol=0, atol=0)
    torch.testing.assert_close(grad_x, expected_grad.to(dtype), rtol=0, atol=0)


def test_no_rois__give_an_empty_output_and_a_gradient_of_zeros():
    x = torch.randn(2, 8, 16, 12, dtype=torch.bfloat16)
    out, grad_x = run(RoIAlign((3, 2)), x, torch.empty(0, 5))
    assert (out.shape, out.dtype) == ((0, 8, 3, 2), torch.bfloat16)
    torch.testing.assert_close(grad_x, torch.zeros_like(x))


@pytest.mark.parametrize(('limit', 'sums'), [(2000, 2**20), (1, 2**20), (2**21, 1)])
def test_parts__give_what_the_whole_gives(monkeypatch, limit, sums):
    x, rois, layer = torch.randn(2, 8, 16, 16), some_rois(), RoIAlign((3, 2), 0.25)
    whole = run(layer, x, rois)
    monkeypatch.setattr(roi_regions, 'LARGEST_CHUNK', limit)
    monkeypatch.setattr(module, 'SUMS_AT_ONCE', sums)
    for part, expected in zip(run(layer, x, rois), whole):
        torch.testing.assert_close(part, expected)


def test_parts__hold_no_more_taps_than_the_limit(monkeypatch):
    monkeypatch.setattr(roi_regions, 'LARGEST_CHUNK', 5000)
    grid, shapes, rois = Grid((3, 2)), [torch.Size([2, 8, 64, 64])], some_rois()
    regions = roi_regions.regions_of(rois, torch.zeros(40), shapes, [1.0], grid)
    parts = [part for part in roi_regions.chunks(regions, grid) if len(part.index) > 1]
    assert len(parts) > 3
    assert all(len(module.taps_of(part, shapes, grid).pixels) <= 5000 for part in parts)


@pytest.mark.parametrize(('sampling_ratio', 'side', 'taps'), [(0, 8, 25), (4, 8, 25), (4, 2, 4), (2, 32, 16)])
def test_taps__name_a_pixel_once_however_many_samples_share_it(sampling_ratio, side, taps):
    grid, shapes = Grid((2, 2), sampling_ratio), [torch.Size([1, 8, 64, 64])]
    rois = torch.tensor([[0, 4.6, 4.6, 4.6 + side, 4.6 + side]])
    found = module.taps_of(roi_regions.regions_of(rois, torch.zeros(1), shapes, [1.0], grid), shapes, grid)
    for bag in found.pixels.tensor_split(found.offsets[1:-1].long()):
        assert len(set(bag.tolist())) == len(bag) == taps


@pytest.mark.parametrize('side', [3e3, 2e4])
def test_rois_far_larger_than_the_features__are_their_definition(side):
    rois = torch.tensor([[0, -side, 1, side / 3, 6], [0, 2, -side / 7, 5, side], [0, 1, 1, 4, 4]]).double()
    for aligned in (True, False):
        layer = RoIAlign((2, 2), aligned=aligned)
        compare_with_definition(layer, layer.grid, torch.randn(1, 2, 7, 5, dtype=torch.float64) * 1e3, rois)


def test_rois_without_bounds__need_no_memory_of_their_size():
    rois = torch.tensor([[0, -1e9, -1e9, 1e9, 1e9], [0, 1e12, 1e12, 3e12, 3e12], [0, 0, 0, 4, 4]])
    out = RoIAlign(7)(torch.ones(1, 2, 7, 5), rois)
    assert out.isfinite().all()
    torch.testing.assert_close(out[1:], torch.ones(2, 2, 7, 7) * torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))


@pytest.mark.parametrize(
    ('roi', 'message'),
    [
        ([0, 0, 0, float('nan'), 4], 'finite'),
        ([0, 0, 0, float('inf'), 4], 'finite'),
        ([-1, 0, 0, 4, 4], 'image from 0 to 1'),
        ([2, 0, 0, 4, 4], 'image from 0 to 1'),
        ([0, 4, 0, 3, 4], 'x2 >= x1'),
    ],
)
def test_wrong_roi__is_refused_by_name(roi, message):
    with pytest.raises(ValueError, match=message):
        RoIAlign(7)(torch.randn(2, 4, 8, 8), torch.tensor([[0, 0, 0, 4, 4], roi]))


def test_rois_of_four_columns__are_refused():
    with pytest.raises(ValueError, match=r'\(R, 5\)'):
        RoIAlign(7)(torch.randn(2, 4, 8, 8), torch.rand(3, 4))


def test_features_without_pixels__are_refused():
    with pytest.raises(ValueError, match='without pixels'):
        RoIAlign(7)(torch.randn(2, 4, 0, 8), torch.tensor([[0.0, 0, 0, 4, 4]]))


def test_rois__get_no_gradient():
    rois = some_rois(5, 10.0).requires_grad_()
    out = RoIAlign(3)(torch.randn(2, 4, 8, 8, requires_grad=True), rois)
    assert torch.autograd.grad(out.sum(), rois, allow_unused=True) == (None,)


def test_pixel__reaches_only_the_bins_that_read_it():
    x = torch.randn(1, 2, 16, 16)
    x[0, :, 8, 8] = float('nan')
    rois = torch.tensor([[0, 0, 0, 6, 6], [0, 10, 1, 15, 15], [0, 7, 7, 10, 10]]).float()
    assert RoIAlign(4)(x, rois).isnan().flatten(1).any(1).tolist() == [False, False, True]


def test_rois_of_no_level__are_zero():
    features = [torch.ones(2, 4, 8, 8), torch.ones(2, 4, 4, 4)]
    out = roi_align(features, some_rois(3, 3.0), [1, 0.5], Grid((2, 2)), torch.tensor([1, -1, 2]))
    assert out.flatten(1).sum(1).tolist() == [16, 0, 0]


@pytest.mark.parametrize('name', FORMATS)
def test_max_pooling__is_mmcvs_operator_on_contiguous_features(name):
    x, rois = torch.randn(2, 4, 16, 16), some_rois(10, 16.0)
    layer = RoIAlign(3, sampling_ratio=2, pool_mode='max')
    assert not layer.is_supported(x)
    expected = ops.RoIAlign(3, sampling_ratio=2, pool_mode='max')(x, rois)
    torch.testing.assert_close(layer(FORMATS[name](x), rois), expected)


@pytest.mark.parametrize('name', FORMATS)
def test_torchvisions_operator__gets_contiguous_features(name, monkeypatch):
    """mmcv calls it; torch 2.13 has no torchvision for CPUs to compare with."""
    given = []
    monkeypatch.setattr(RoIAlign, 'on_any_device', lambda self, features, rois: given.append(features))
    x = torch.randn(2, 4, 16, 16)
    RoIAlign(3, use_torchvision=True)(FORMATS[name](x), some_rois(10, 16.0))
    assert given[0].is_contiguous()
    torch.testing.assert_close(given[0], x, rtol=0, atol=0)


def test_trace__records_the_operator_of_mmcv():
    traced = torch.jit.trace(RoIAlign(3), (torch.randn(2, 4, 8, 8), some_rois(3, 6.0)), check_trace=False)
    assert 'RoIAlignFunction' in str(traced.graph)


def test_compiled_layer__gives_what_the_layer_gives():
    x, rois, layer = torch.randn(2, 4, 8, 8), some_rois(3, 6.0), RoIAlign(3)
    compiled = torch.compile(layer, backend='eager')
    torch.testing.assert_close(compiled(x, rois), layer(x, rois))


@pytest.mark.parametrize(
    'x',
    [
        torch.empty(2, 4, 8, 8, device='meta'),
        torch.zeros(2, 4, 8, 8, dtype=torch.int32),
        torch.zeros(2, 4, 8, 8).as_subclass(type('Subclass', (torch.Tensor,), {})),
    ],
    ids=['meta', 'int32', 'subclass'],
)
def test_other_tensors__are_left_to_mmcv(x):
    assert not is_supported(x)
