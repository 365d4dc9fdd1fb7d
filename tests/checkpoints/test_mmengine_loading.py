from collections import OrderedDict

import pytest
import torch
from mmengine.model import BaseModule, initialize
from mmengine.runner import CheckpointLoader, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from eca_mmdet import ECAResNet
from eca_mmdet.checkpoints import LoadedWeightsError, mmengine_loading
from eca_mmdet.checkpoints.mmengine_loading import is_remote

WEIGHTS = {'weight': torch.tensor([[3.0]]), 'bias': torch.tensor([5.0])}
FORMS = dict(
    bare=WEIGHTS,
    state_dict=dict(state_dict=WEIGHTS, meta=dict(epoch=1)),
    model=dict(model=WEIGHTS),
    ema=dict(ema=dict(module=WEIGHTS, updates=7)),
    module={f'module.{k}': v for k, v in WEIGHTS.items()},
    compiled=dict(net={f'_orig_mod.{k}': v for k, v in WEIGHTS.items()}),
    thop={**WEIGHTS, 'total_ops': torch.zeros(1), 'total_params': torch.zeros(1)},
)


@pytest.fixture(params=FORMS)
def path(request, tmp_path):
    torch.save(FORMS[request.param], tmp_path / 'x.pth')
    return str(tmp_path / 'x.pth')


def holds_the_weights(layer):
    return all(torch.equal(layer.state_dict()[name], value) for name, value in WEIGHTS.items())


def test_loader__finds_the_weights_in_every_kind_of_checkpoint(path):
    layer = nn.Linear(1, 1)
    load_checkpoint(layer, path, strict=True)
    assert holds_the_weights(layer)


def pretrained(module, **init):
    initialize(module, dict(type='Pretrained', **init))
    return module


def test_init_cfg__loads_every_kind_of_checkpoint(path):
    assert holds_the_weights(pretrained(nn.Linear(1, 1), checkpoint=path))


def test_loader__expands_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(model=WEIGHTS), tmp_path / 'x.pth')
    assert holds_the_weights(pretrained(nn.Linear(1, 1), checkpoint='~/x.pth'))


def test_loader__reads_safetensors_files(tmp_path):
    save_file(WEIGHTS, tmp_path / 'x.safetensors')
    assert holds_the_weights(pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.safetensors')))


def test_loader__keeps_other_entries_and_module_versions(tmp_path):
    state_dict = nn.BatchNorm2d(2).state_dict()
    torch.save(dict(state_dict=state_dict, meta=dict(epoch=3), optimizer=dict(state={})), tmp_path / 'x.pth')
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    assert checkpoint['meta'] == dict(epoch=3)
    assert checkpoint['optimizer'] == dict(state={})
    assert checkpoint['state_dict']._metadata == state_dict._metadata


def test_loader__renames_averaged_weights_as_well(tmp_path):
    """mmengine's EMAHook swaps averaged and current weights by name."""
    names = ['backbone._orig_mod.weight', 'backbone._orig_mod.bias']
    both = dict(
        state_dict=OrderedDict((name, torch.ones(1)) for name in names),
        ema_state_dict={'steps': torch.tensor(4), **{f'module.{name}': torch.zeros(1) for name in names}},
    )
    torch.save(both, tmp_path / 'x.pth')
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    expected = {'steps', *(f'module.{name}' for name in checkpoint['state_dict'])}
    assert set(checkpoint['ema_state_dict']) == expected
    assert 'backbone.weight' in checkpoint['state_dict']


def test_loader__rejects_two_containers(tmp_path):
    torch.save(dict(model=WEIGHTS, model_ema=WEIGHTS), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match="x.pth: the file holds weights under 'model', 'model_ema'"):
        load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'x.pth'))


def test_loader__does_not_execute_code_of_the_file(tmp_path):
    ran = tmp_path / 'ran'

    class Hostile:
        def __reduce__(self):
            return open, (str(ran), 'w')

    torch.save(dict(state_dict=WEIGHTS, extra=Hostile()), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='only code from the file could build'):
        load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'x.pth'))
    assert not ran.exists()


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.', 'module.backbone.'])
def test_init_cfg__finds_its_prefix_with_and_without_wrappers(tmp_path, prefix):
    torch.save({f'module.backbone.{k}': v for k, v in WEIGHTS.items()}, tmp_path / 'x.pth')
    layer = pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.pth'), prefix=prefix)
    assert holds_the_weights(layer)


def test_init_cfg__accepts_the_prefix_of_a_wrapper(tmp_path):
    torch.save({f'model.{k}': v for k, v in WEIGHTS.items()}, tmp_path / 'x.pth')
    layer = pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.pth'), prefix='model.')
    assert holds_the_weights(layer)


def test_init_cfg__with_an_unused_prefix_raises_an_error(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match="x.pth: no tensor begins with prefix='neck.'"):
        pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.pth'), prefix='neck.')


def test_init_cfg__that_loads_nothing_raises_an_error(tmp_path):
    torch.save(dict(a=torch.ones(1)), tmp_path / 'x.pth')
    with pytest.raises(LoadedWeightsError, match='x.pth fills none of the 2 tensors of Linear'):
        pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.pth'))


def test_init_cfg__logs_how_many_tensors_took_effect(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(mmengine_loading, 'print_log', lambda text, *_, **__: said.append(text))
    torch.save({**WEIGHTS, 'fc.weight': torch.ones(1)}, tmp_path / 'x.pth')
    pretrained(nn.Linear(1, 1), checkpoint=str(tmp_path / 'x.pth'))
    assert said[-1] == f'Linear: 2 of 3 tensors of {tmp_path}/x.pth took effect; the model has 2.'


def test_init_cfg__loads_into_a_module_with_prefixed_names(tmp_path):
    """Prefixes of the module itself are stripped, too: a compiled part, or a part named `model`."""
    model = nn.ModuleDict(dict(model=nn.Linear(1, 1)))
    torch.save(model.state_dict(), tmp_path / 'x.pth')
    other = pretrained(nn.ModuleDict(dict(model=nn.Linear(1, 1))), checkpoint=str(tmp_path / 'x.pth'))
    assert torch.equal(other['model'].weight, model['model'].weight)


def test_init_cfg__that_fills_only_part_of_the_backbone_raises_an_error(tmp_path):
    weights = {k: v for k, v in ECAResNet(18).state_dict().items() if not k.startswith('layer3.1.conv')}
    torch.save(weights, tmp_path / 'x.pth')
    backbone = ECAResNet(18, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')))
    with pytest.raises(LoadedWeightsError, match='2 of its 128 tensors would start from random values'):
        backbone.init_weights()


class Detector(BaseModule):
    def __init__(self, checkpoint):
        super().__init__(dict(type='Pretrained', checkpoint=str(checkpoint)))
        self.backbone, self.head = ECAResNet(18), nn.Linear(2, 2)


def test_init_cfg__that_fills_only_part_of_a_detectors_backbone_raises_an_error(tmp_path):
    weights = Detector(tmp_path / 'x.pth').state_dict()
    torch.save({k: v for k, v in weights.items() if 'layer3.1.conv' not in k}, tmp_path / 'x.pth')
    with pytest.raises(LoadedWeightsError, match='does not fill the backbone: 2 of its 128 tensors'):
        Detector(tmp_path / 'x.pth').init_weights()


def test_init_cfg__logs_which_parts_of_a_detector_keep_initial_values(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(mmengine_loading, 'print_log', lambda text, *_, **__: said.append(text))
    weights = Detector(tmp_path / 'x.pth').state_dict()
    torch.save({k: v for k, v in weights.items() if 'head' not in k}, tmp_path / 'x.pth')
    Detector(tmp_path / 'x.pth').init_weights()
    assert said[1].endswith('start from their initial values: head (2).')


@pytest.mark.parametrize(
    ('path', 'remote'),
    [('x.pth', False), ('~/a b/x.safetensors', False), ('C:x.pth', False), ('https://a.org/x.pth', True),
     ('torchvision://resnet50', True), ('open-mmlab://resnet50', True), ('cluster:s3://a/x.pth', True)],
)  # fmt: skip
def test_is_remote__agrees_with_mmengine(path, remote):
    assert is_remote(path) == remote
