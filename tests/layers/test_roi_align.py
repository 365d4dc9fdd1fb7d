"""RoIAlign for CPUs against mmcv and against its definition."""

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
# Multiples of 1/8 hit pixel centres and the border exactly.
coordinates = st.one_of(st.integers(-96, 320).map(lambda k: k / 8), st.floats(-12, 40, width=32))
sides = st.one_of(st.sampled_from([0.0, 1e-3, 0.5, 1.0, 7.0]), st.floats(0, 60, width=32))


@st.composite
def cases(draw):
    """Draw options of a layer, a shape, RoIs of any size inside and outside, and a memory format."""
    options = dict(
        output_size=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        spatial_scale=draw(st.sampled_from([1.0, 0.5, 0.25])),
        sampling_ratio=draw(st.integers(0, 3)),
        aligned=draw(st.booleans()),
    )
    shape = tuple(draw(st.integers(1, maximum)) for maximum in (2, 4, 9, 9))
    # Aligned RoIs must not have negative sides.
    sign = st.just(1) if options['aligned'] else st.sampled_from([1, 1, -1])
    rois = []
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(coordinates), draw(coordinates)
        width, height = draw(sides) * draw(sign), draw(sides) * draw(sign)
        rois.append([draw(st.integers(0, shape[0] - 1)), x, y, x + width, y + height])
    rois = torch.tensor(rois, dtype=torch.float64).view(-1, 5)
    return options, shape, rois, FORMATS[draw(st.sampled_from(sorted(FORMATS)))]


def run(layer, x, rois, grad=None):
    """Return the output, and the gradient of the features."""
    x = x.detach().requires_grad_()
    out = layer(x, rois)
    grad = torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape) if grad is None else grad
    return out.detach(), torch.autograd.grad(out, x, grad)[0]


def draw_rois(count=40, size=64.0, dtype=torch.float32):
    start, side = torch.rand(count, 2) * size, torch.rand(count, 2) ** 2 * size
    return torch.cat([torch.randint(0, 2, (count, 1)), start, start + side], 1).to(dtype)


def assert_equals_definition(layer, grid, x, rois):
    out, grad_x = run(layer, x, rois)
    n, c, h, w = x.shape
    matrix = plain_roi_align(x.shape, rois, grid, layer.spatial_scale)
    expected = (matrix @ x.permute(0, 2, 3, 1).reshape(-1, c)).view(-1, *grid.output_size, c)
    torch.testing.assert_close(out, expected.permute(0, 3, 1, 2), rtol=0, atol=1e-10, check_stride=False)
    rows = torch.sin(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape).permute(0, 2, 3, 1)
    expected = (matrix.t() @ rows.reshape(-1, c)).view(n, h, w, c).permute(0, 3, 1, 2)
    torch.testing.assert_close(grad_x, expected, rtol=0, atol=1e-10, check_stride=False)


@given(cases())
def test_layer__equals_its_definition_in_float64(case):
    options, shape, rois, convert = case
    layer = RoIAlign(**options)
    grid = Grid(options['output_size'], options['sampling_ratio'], *((0.5, 0) if layer.aligned else (0, 1)))
    assert_equals_definition(layer, grid, convert(torch.randn(shape, dtype=torch.float64)), rois)


@given(cases())
def test_layer__equals_mmcv_on_contiguous_features(case):
    options, shape, rois, convert = case
    x, rois = torch.randn(shape), rois.float()
    if options['aligned']:
        rois[:, 3:] = rois[:, 3:].maximum(rois[:, 1:3])  # rounding may make an empty side negative
    out, grad_x = run(RoIAlign(**options), convert(x), rois)
    expected, expected_grad = run(ops.RoIAlign(**options), x, rois)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad_x, expected_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('size', [7, 14])
def test_layer__equals_mmcv_for_the_sizes_of_a_detector(size, sampling_ratio):
    x, rois = torch.randn(2, 32, 40, 60), draw_rois(100, 160.0)
    out, grad_x = run(RoIAlign(size, 0.25, sampling_ratio), FORMATS['channels_last'](x), rois)
    expected, expected_grad = run(ops.RoIAlign(size, 0.25, sampling_ratio), x, rois)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad_x, expected_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', FORMATS)
def test_output_and_gradient__have_the_memory_format_of_the_features(name):
    x = FORMATS[name](torch.randn(2, 8, 16, 12))
    expected = torch.channels_last if name == 'channels_last' else torch.contiguous_format
    for tensor in run(RoIAlign(3), x, draw_rois(5, 10.0)):
        assert tensor.is_contiguous(memory_format=expected)


def test_channels_last_features__are_read_without_a_copy():
    x = FORMATS['channels_last'](torch.randn(2, 8, 16, 12))
    assert module._to_table(x, torch.float32).data_ptr() == x.data_ptr()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision__is_the_rounded_float32_result(dtype):
    x, rois, layer = torch.randn(2, 8, 16, 16).to(dtype), draw_rois(), RoIAlign(4, 0.25)
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


@pytest.mark.parametrize(('max_taps', 'chunk_values'), [(2000, 2**20), (1, 2**20), (2**21, 1)])
def test_chunk_sizes__do_not_change_the_values(monkeypatch, max_taps, chunk_values):
    x, rois, layer = torch.randn(2, 8, 16, 16), draw_rois(), RoIAlign((3, 2), 0.25)
    expected = run(layer, x, rois)
    monkeypatch.setattr(roi_regions, 'MAX_TAPS', max_taps)
    monkeypatch.setattr(module, 'CHUNK_VALUES', chunk_values)
    torch.testing.assert_close(run(layer, x, rois), expected)


def test_parts__have_no_more_taps_than_the_limit(monkeypatch):
    monkeypatch.setattr(roi_regions, 'MAX_TAPS', 5000)
    grid, shapes, rois = Grid((3, 2)), [torch.Size([2, 8, 64, 64])], draw_rois()
    regions = roi_regions.build_regions(rois, torch.zeros(40), shapes, [1.0], grid)
    parts = [part for part in roi_regions.split_regions(regions, grid) if len(part.row) > 1]
    assert len(parts) > 3
    assert all(len(module.compute_taps(part, shapes, grid).pixels) <= 5000 for part in parts)


@pytest.mark.parametrize(('sampling_ratio', 'side', 'taps'), [(0, 8, 25), (4, 8, 25), (4, 2, 4), (2, 32, 16)])
def test_taps__contain_a_pixel_once_however_many_samples_read_it(sampling_ratio, side, taps):
    grid, shapes = Grid((2, 2), sampling_ratio), [torch.Size([1, 8, 64, 64])]
    rois = torch.tensor([[0, 4.6, 4.6, 4.6 + side, 4.6 + side]])
    regions = roi_regions.build_regions(rois, torch.zeros(1), shapes, [1.0], grid)
    computed = module.compute_taps(regions, shapes, grid)
    for pixels in computed.pixels.tensor_split(computed.offsets[1:-1].long()):
        assert len(set(pixels.tolist())) == len(pixels) == taps


@pytest.mark.parametrize('side', [3e3, 2e4])
def test_rois_far_larger_than_the_features__equal_the_definition(side):
    rois = torch.tensor([[0, -side, 1, side / 3, 6], [0, 2, -side / 7, 5, side], [0, 1, 1, 4, 4]]).double()
    for aligned in (True, False):
        layer = RoIAlign((2, 2), aligned=aligned)
        assert_equals_definition(layer, layer.grid, torch.randn(1, 2, 7, 5, dtype=torch.float64) * 1e3, rois)


def test_huge_rois__need_no_more_memory():
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
        ([0, 4, 0, 3, 4], 'x2 >= x1 and y2 >= y1'),
    ],
)
def test_invalid_roi__is_rejected(roi, message):
    with pytest.raises(ValueError, match=message):
        RoIAlign(7)(torch.randn(2, 4, 8, 8), torch.tensor([[0, 0, 0, 4, 4], roi]))


def test_rois_with_four_columns__are_rejected():
    with pytest.raises(ValueError, match=r'\(R, 5\)'):
        RoIAlign(7)(torch.randn(2, 4, 8, 8), torch.rand(3, 4))


def test_features_without_pixels__are_rejected():
    with pytest.raises(ValueError, match='without pixels'):
        RoIAlign(7)(torch.randn(2, 4, 0, 8), torch.tensor([[0.0, 0, 0, 4, 4]]))


def test_rois__have_no_gradient():
    rois = draw_rois(5, 10.0).requires_grad_()
    out = RoIAlign(3)(torch.randn(2, 4, 8, 8, requires_grad=True), rois)
    assert torch.autograd.grad(out.sum(), rois, allow_unused=True) == (None,)


def test_nan_pixel__changes_only_the_rois_that_read_it():
    x = torch.randn(1, 2, 16, 16)
    x[0, :, 8, 8] = float('nan')
    rois = torch.tensor([[0, 0, 0, 6, 6], [0, 10, 1, 15, 15], [0, 7, 7, 10, 10]]).float()
    assert RoIAlign(4)(x, rois).isnan().flatten(1).any(1).tolist() == [False, False, True]


def test_rois_of_a_missing_level__are_zero():
    features = [torch.ones(2, 4, 8, 8), torch.ones(2, 4, 4, 4)]
    out = roi_align(features, draw_rois(3, 3.0), [1, 0.5], Grid((2, 2)), torch.tensor([1, -1, 2]))
    assert out.flatten(1).sum(1).tolist() == [16, 0, 0]


@pytest.mark.parametrize('name', FORMATS)
def test_max_pooling__uses_mmcv_on_contiguous_features(name):
    x, rois = torch.randn(2, 4, 16, 16), draw_rois(10, 16.0)
    layer = RoIAlign(3, sampling_ratio=2, pool_mode='max')
    assert not layer.is_supported(x)
    expected = ops.RoIAlign(3, sampling_ratio=2, pool_mode='max')(x, rois)
    torch.testing.assert_close(layer(FORMATS[name](x), rois), expected)


@pytest.mark.parametrize('name', FORMATS)
def test_torchvision_operator__gets_contiguous_features(name, monkeypatch):
    """mmcv calls the operator. For torch 2.13 there is no torchvision for CPUs to compare with."""
    received = []
    monkeypatch.setattr(RoIAlign, 'forward_mmcv', lambda self, features, rois: received.append(features))
    x = torch.randn(2, 4, 16, 16)
    RoIAlign(3, use_torchvision=True)(FORMATS[name](x), draw_rois(10, 16.0))
    assert received[0].is_contiguous()
    torch.testing.assert_close(received[0], x, rtol=0, atol=0)


def test_trace__contains_the_operator_of_mmcv():
    traced = torch.jit.trace(RoIAlign(3), (torch.randn(2, 4, 8, 8), draw_rois(3, 6.0)), check_trace=False)
    assert 'RoIAlignFunction' in str(traced.graph)


def test_compiled_layer__equals_the_layer():
    x, rois, layer = torch.randn(2, 4, 8, 8), draw_rois(3, 6.0), RoIAlign(3)
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
def test_other_tensors__are_not_supported(x):
    assert not is_supported(x)
