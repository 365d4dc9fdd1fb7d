import pytest
import torch
from conftest import load_tool
from mmengine.registry import MODELS
from mmengine.runner import checkpoint
from reference import official_checkpoint

import eca_mmdet
from eca_mmdet.checkpoints import read_checkpoint

main = load_tool('convert_weights').main


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'eca_resnet18_k3577.pth.tar'
    torch.save(official_checkpoint(18), path)
    return path


def test_convert__prints_what_was_done_and_the_config(source, tmp_path, capsys):
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
    assert len(said) == 1  # that it loads; mmengine would list what is missing or unexpected
    for key, value in official_checkpoint(18)['state_dict'].items():
        if '.fc.' not in key:
            assert torch.equal(backbone.state_dict()[key.removeprefix('module.')], value), key


def test_init_cfg__with_other_sizes_fails_loudly(source, tmp_path):
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


def test_load_backbone__builds_what_the_file_describes(source, tmp_path):
    target = tmp_path / 'eca18.pth'
    main([str(source), str(target)])
    backbone = eca_mmdet.load_backbone(target, out_indices=(3,))
    assert backbone.eca_kernel_sizes == (3, 5, 7, 7)
    assert [out.shape for out in backbone(torch.zeros(1, 3, 64, 64))] == [(1, 512, 2, 2)]
    meta = read_checkpoint(target)['meta']
    assert meta['source']['file'] == 'eca_resnet18_k3577.pth.tar'
    assert len(meta['source']['sha256']) == 64


@pytest.mark.parametrize(
    'described',
    [
        None,
        dict(type='os.system', command='true'),
        dict(type='ECAResNet', depth=18, eca_kernel_sizes=3, init_cfg=dict(type='os.system')),
    ],
)
def test_load_backbone__lets_a_file_choose_only_known_arguments(tmp_path, described):
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, meta=dict(backbone=described)), path)
    with pytest.raises(ValueError, match='does not say which backbone'):
        eca_mmdet.load_backbone(path)


@pytest.mark.parametrize('fault', ['missing', 'existing', 'foreign', 'unwritable'])
def test_errors__exit_with_2_and_leave_no_target(source, tmp_path, capsys, fault):
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
