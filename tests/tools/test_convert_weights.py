import hashlib
import json

import pytest
import torch
from conftest import load_tool
from mmengine.registry import MODELS
from mmengine.runner import checkpoint
from reference import official_checkpoint
from safetensors import safe_open
from safetensors.torch import save_file

import eca_mmdet
from eca_mmdet import ECAResNet

main = load_tool('convert_weights').main


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'eca_resnet18_k3577.pth.tar'
    torch.save(official_checkpoint(18), path)
    return path


def test_convert__prints_a_report_and_the_config(source, tmp_path, capsys):
    main([str(source), str(tmp_path / 'weights/eca18.pth')])
    printed = capsys.readouterr().out
    for text in ('ECA-ResNet-18, kernel sizes 3577', 'renamed   ', 'dropped   epoch', 'fc.weight (1000, 512)',
                 '11,176,556 parameters', "eca_kernel_sizes='3577'", "type='Pretrained'"):  # fmt: skip
        assert text in printed


def test_converted_file__loads_by_init_cfg_with_nothing_missing_or_unexpected(source, tmp_path, monkeypatch):
    target = tmp_path / 'eca18.pth'
    main([str(source), str(target)])
    backbone = MODELS.build(
        dict(type='ECAResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint=str(target)))
    )
    said = []
    monkeypatch.setattr(checkpoint, 'print_log', lambda text, **_: said.append(text))
    backbone.init_weights()
    assert len(said) == 1  # a second message would list missing or unexpected tensors
    for key, value in official_checkpoint(18)['state_dict'].items():
        if '.fc.' not in key:
            assert torch.equal(backbone.state_dict()[key.removeprefix('module.')], value), key


def test_init_cfg__with_other_kernel_sizes_raises_an_error(source, tmp_path):
    target = tmp_path / 'eca18.pth'
    main([str(source), str(target)])
    backbone = MODELS.build(
        dict(
            type='ECAResNet',
            depth=18,
            eca_kernel_sizes='3333',
            init_cfg=dict(type='Pretrained', checkpoint=str(target)),
        )
    )
    with pytest.raises(ValueError, match=r'\(3, 5, 7, 7\), this backbone was built with \(3, 3, 3, 3\)'):
        backbone.init_weights()


def test_load_backbone__builds_the_network_of_the_checkpoint(source, tmp_path):
    target = tmp_path / 'eca18.pth'
    main([str(source), str(target)])
    backbone = eca_mmdet.load_backbone(target, out_indices=(3,))
    assert backbone.eca_kernel_sizes == (3, 5, 7, 7)
    assert [out.shape for out in backbone(torch.zeros(1, 3, 64, 64))] == [(1, 512, 2, 2)]


def test_load_backbone__ignores_the_metadata_of_the_file(tmp_path):
    path = tmp_path / 'x.pth'
    hostile = dict(type='os.system', command='true', depth=101, init_cfg=dict(type='os.system'))
    torch.save(dict(state_dict=ECAResNet(18).state_dict(), meta=dict(backbone=hostile)), path)
    backbone = eca_mmdet.load_backbone(path)
    assert (type(backbone), backbone.depth, backbone.init_cfg) == (ECAResNet, 18, ECAResNet(18).init_cfg)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_load_backbone__accepts_unconverted_checkpoints(source, tmp_path, suffix):
    path = tmp_path / f'x{suffix}'
    weights = {k.removeprefix('module.'): v for k, v in official_checkpoint(18)['state_dict'].items()}
    torch.save(weights, path) if suffix == '.pth' else save_file(weights, path)
    loaded = eca_mmdet.load_backbone(path).state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())


def test_load_backbone__warns_that_eca_is_untrained(tmp_path, capsys):
    torch.save({k: v for k, v in ECAResNet(18).state_dict().items() if '.eca.' not in k}, tmp_path / 'x.pth')
    eca_mmdet.load_backbone(tmp_path / 'x.pth')
    assert '8 tensors keep their initial values' in ''.join(capsys.readouterr())


def test_load_backbone__of_another_kind_of_file_names_it(tmp_path):
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='x.pth: no known format'):
        eca_mmdet.load_backbone(tmp_path / 'x.pth')


@pytest.mark.parametrize('target', ['mmdet', 'official', 'timm'])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_written_file__has_plain_tensors_and_metadata(source, tmp_path, target, suffix):
    path = tmp_path / f'out{suffix}'
    main([str(source), str(path), '--to', target])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if suffix == '.pth':
        written = torch.load(path, weights_only=True)
        meta, tensors = written['meta'], written['state_dict']
    else:
        with safe_open(path, 'pt') as file:
            meta, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        assert meta.pop('format') == 'pt'
        meta = {key: json.loads(value) for key, value in meta.items()}
    assert meta == dict(
        eca_mmdet=eca_mmdet.__version__,
        source=dict(format='official ECANet ImageNet', file=source.name, sha256=digest),
        layout=target,
        backbone=dict(type='ECAResNet', depth=18, eca_kernel_sizes=[3, 5, 7, 7]),
    )
    assert {type(value) for value in tensors.values()} == {torch.Tensor}
    first = {'mmdet': '', 'official': 'module.', 'timm': ''}[target]
    assert torch.equal(
        tensors[f'{first}conv1.weight'], official_checkpoint(18)['state_dict']['module.conv1.weight']
    )
    assert path.stat().st_size < 1.01 * sum(value.nbytes for value in tensors.values()) + 100_000


def test_source_and_target__may_be_in_the_home_folder(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))
    main([f'~/{source.name}', '~/weights/eca18.pth'])
    assert (tmp_path / 'weights/eca18.pth').is_file()
    assert f"load_backbone('{tmp_path}/weights/eca18.pth')" in capsys.readouterr().out


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_source_and_target__may_be_the_same_file(tmp_path, suffix):
    path = tmp_path / f'x{suffix}'
    weights = official_checkpoint(18)['state_dict']
    torch.save(weights, path) if suffix == '.pth' else save_file(weights, path)
    main([str(path), str(path), '--overwrite'])
    backbone = eca_mmdet.load_backbone(path)
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, weights[f'module.{key}']), key


def test_init_cfg__loads_a_safetensors_file(source, tmp_path):
    target = tmp_path / 'eca18.safetensors'
    main([str(source), str(target)])
    init = dict(type='Pretrained', checkpoint=str(target))
    backbone = MODELS.build(dict(type='ECAResNet', depth=18, init_cfg=init))
    backbone.init_weights()
    for key, value in official_checkpoint(18)['state_dict'].items():
        if '.fc.' not in key:
            assert torch.equal(backbone.state_dict()[key.removeprefix('module.')], value), key


def test_report__mentions_a_missing_classifier_and_initial_eca_weights(tmp_path, capsys):
    path = tmp_path / 'x.pth'
    torch.save({k: v for k, v in ECAResNet(18).state_dict().items() if '.eca.' not in k}, path)
    main([str(path), str(tmp_path / 'y.pth'), '--to', 'timm', '--eca-kernel-sizes', '5'])
    printed = capsys.readouterr().out
    for text in ('plain ResNet of torchvision or timm', 'kernel sizes 5555', 'without a classifier',
                 '8 ECA weights at their initial value', 'names of timm'):  # fmt: skip
        assert text in printed
    assert 'In a config' not in printed


@pytest.mark.parametrize('fault', ['missing', 'existing', 'foreign', 'unwritable'])
def test_errors__exit_with_2_and_write_no_target(source, tmp_path, capsys, fault):
    target = tmp_path / 'out.pth'
    if fault == 'missing':
        source = tmp_path / 'nothing.pth'
    elif fault == 'existing':
        target.write_text('mine')
    elif fault == 'foreign':
        source.write_text('hello')
    else:
        target = source / 'out.pth'
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as exit_:
        main([str(source), str(target)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith('error: ')
    assert sorted(tmp_path.iterdir()) == before
    if fault == 'existing':
        assert target.read_text() == 'mine'


@pytest.fixture
def two_networks(tmp_path):
    """Save a checkpoint with weights and averaged weights, as training scripts do."""
    weights = official_checkpoint(18)['state_dict']
    averages = {name: value + 1 for name, value in weights.items()}
    torch.save(dict(model=weights, model_ema=averages, epoch=3), tmp_path / 'two.pth')
    return tmp_path / 'two.pth', averages


def test_convert__rejects_two_containers(two_networks, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([str(two_networks[0]), str(tmp_path / 'out.pth')])
    assert exit_.value.code == 2
    assert "two.pth: the file holds weights under 'model', 'model_ema'" in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()


def test_convert__uses_the_requested_container_and_reports_it(two_networks, tmp_path, capsys):
    path, averages = two_networks
    main([str(path), str(tmp_path / 'out.pth'), '--weights', 'model_ema'])
    printed = capsys.readouterr().out
    assert "weights   under 'model_ema', not those under 'model'" in printed
    assert 'dropped   model, epoch' in printed
    written = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    assert torch.equal(written['conv1.weight'], averages['module.conv1.weight'])


def test_load_backbone__uses_the_requested_container(two_networks):
    path, averages = two_networks
    with pytest.raises(ValueError, match="weights='model_ema'"):
        eca_mmdet.load_backbone(path)
    backbone = eca_mmdet.load_backbone(path, weights='model_ema')
    assert torch.equal(backbone.conv1.weight, averages['module.conv1.weight'])
