"""ECAByobNet: features, gradients, freezing and the weights that it rejects.

Its values are compared with timm's own model in test_variants.py.
"""

import pytest
import torch

from eca_mmdet.backbones import ECAByobNet

VARIANTS = ('eca_resnet33ts', 'eca_resnext26ts')


@pytest.mark.parametrize('variant', VARIANTS)
def test_features__have_the_stated_channels_and_strides(variant):
    backbone = ECAByobNet(variant)
    features = backbone(torch.rand(1, 3, 64, 96))
    assert tuple(f.shape[1] for f in features) == backbone.out_channels
    assert [tuple(f.shape[2:]) for f in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize('variant', VARIANTS)
def test_init__zeroes_the_last_norm_of_every_block(variant):
    backbone = ECAByobNet(variant)
    backbone.init_weights()
    for name in backbone.res_layers:
        for block in getattr(backbone, name):
            assert not block.bn3.weight.any()


def test_gradients__reach_every_parameter_but_the_frozen_ones():
    backbone = ECAByobNet('eca_resnext26ts', frozen_stages=1).train()
    sum(f.sum() for f in backbone(torch.rand(2, 3, 64, 64))).backward()
    for name, parameter in backbone.named_parameters():
        is_frozen = name.startswith(('stem', 'layer1'))
        assert (parameter.grad is None) == is_frozen, name


def test_attention__none_is_the_plain_network():
    plain = ECAByobNet('eca_resnet33ts', attention='none')
    own = ECAByobNet('eca_resnet33ts').state_dict()
    assert set(plain.state_dict()) == {name for name in own if 'eca_mid' not in name}
    ECAByobNet('eca_resnet33ts').load_state_dict(plain.state_dict(), strict=False)


def test_weights__of_another_network_are_refused():
    backbone = ECAByobNet('eca_resnet33ts')
    with pytest.raises(ValueError, match='kernel sizes .*3, 3, 3, 3.* built with .*3, 5, 5, 5'):
        backbone.load_state_dict(ECAByobNet('eca_resnet33ts', eca_kernel_sizes='3333').state_dict())
    with pytest.raises(ValueError, match="attention 'se_mid'.* built with 'eca_mid'"):
        backbone.load_state_dict(ECAByobNet('eca_resnet33ts', attention='se').state_dict())


def test_variant__that_is_unknown_is_an_error():
    with pytest.raises(ValueError, match="variant='eca_resnet50ts': allowed are 'eca_resnet33ts'"):
        ECAByobNet('eca_resnet50ts')
