"""Unusual inputs and weights give the result or the error of the plain forward pass."""

import pytest
import torch
from backbone_pairs import assert_near, image, small_pair
from torch import Tensor

UNUSUAL_INPUTS = {
    'integers': lambda: torch.randint(0, 255, (2, 3, 33, 40)),
    'bytes': lambda: torch.zeros(2, 3, 33, 40, dtype=torch.uint8),
    'half': lambda: image(torch.float16),
    'bfloat16': lambda: image(torch.bfloat16),
    'float64': image,
    'complex': lambda: image(torch.complex64),
    'three dimensions and wrong channels': lambda: torch.randn(2, 33, 40),
    'five dimensions': lambda: torch.randn(1, 2, 3, 33, 40),
    'four channels': lambda: torch.randn(2, 4, 33, 40),
    'no image': lambda: torch.randn(0, 3, 33, 40),
    'no height': lambda: torch.randn(2, 3, 0, 40),
    'not a tensor': lambda: 'image',
    'image without batch': lambda: torch.randn(3, 33, 40),
    'meta': lambda: torch.empty(2, 3, 33, 40, device='meta'),
}


def describe_result(backbone, x):
    """Return shapes, dtypes and devices of the features, or type and message of the error."""
    try:
        return [(out.shape, out.dtype, out.device) for out in backbone(x)]
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize('name', UNUSUAL_INPUTS)
def test_unusual_input__gives_the_result_or_the_error_of_the_plain_pass(name):
    fused, plain = small_pair(dtype=torch.float32)
    x = UNUSUAL_INPUTS[name]()
    assert describe_result(fused, x) == describe_result(plain, x)


def test_weights_of_mixed_dtypes__give_the_error_of_the_plain_pass():
    results = []
    for backbone in small_pair(dtype=torch.float32):
        backbone.layer2.half()
        results.append(describe_result(backbone, image(torch.float32)))
    assert results[0] == results[1]
    assert results[0][0] is RuntimeError


class TensorSubclass(Tensor):
    """A subclass that torch functions preserve."""


def test_tensor_subclass__is_preserved():
    fused, plain = small_pair()
    x = image().as_subclass(TensorSubclass)
    outs = fused(x)
    assert all(type(out) is TensorSubclass for out in outs)
    assert_near([out.as_subclass(Tensor) for out in outs], plain(x.as_subclass(Tensor)), 1e-10)
