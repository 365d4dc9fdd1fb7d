"""Released checkpoints are downloaded from a local server, checked and converted."""

import pytest
import torch
from conftest import load_tool
from reference import official_state_dict

from eca_mmdet.checkpoints import download
from eca_mmdet.checkpoints.download import get_weights
from eca_mmdet.checkpoints.released import find_released, released_checkpoints
from eca_mmdet.fetch import DownloadError

pytest.importorskip('gdown')


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    """The bytes of an official ECA-ResNet-18 checkpoint with random weights."""
    path = tmp_path_factory.mktemp('official') / 'x.pth.tar'
    torch.save(dict(state_dict=official_state_dict(18)), path)
    return path.read_bytes()


def test_download__is_checked_and_converted(server, official, tmp_path):
    address, state = server
    state['content'] = official
    report = get_weights('eca_resnet18_k3577', tmp_path, url=f'{address}/file')
    assert 'ECA-ResNet-18' in report
    converted = torch.load(tmp_path / 'weights/eca_resnet18_k3577.pth', weights_only=True)
    weight = converted['state_dict']['layer1.0.eca.conv.weight']
    original = torch.load(tmp_path / 'weights/downloads/eca_resnet18_k3577.pth.tar', weights_only=True)
    torch.testing.assert_close(
        weight, original['state_dict']['module.layer1.0.eca.conv.weight'], rtol=0, atol=0
    )
    with pytest.raises(FileExistsError, match='already there. To get it again, add --overwrite'):
        get_weights('eca_resnet18_k3577', tmp_path)
    requests = len(state['requests'])
    get_weights('eca_resnet18_k3577', tmp_path, overwrite=True)
    assert len(state['requests']) == requests  # the downloaded file is used again


def test_interrupted_download__is_resumed(server, official, tmp_path):
    address, state = server
    state.update(content=official, broken_after=len(official) // 2)
    with pytest.raises(DownloadError, match='The same command continues an interrupted download'):
        get_weights('eca_resnet18_k3577', tmp_path, url=f'{address}/file')
    assert not (tmp_path / 'weights/eca_resnet18_k3577.pth').exists()
    get_weights('eca_resnet18_k3577', tmp_path, url=f'{address}/file')
    resumed = state['requests'][-1][2]
    assert resumed is not None
    assert int(resumed[6:].split('-')[0]) > 0
    assert (tmp_path / 'weights/downloads/eca_resnet18_k3577.pth.tar').read_bytes() == official


def test_file_of_timm__comes_from_the_hub(server, tmp_path, monkeypatch):
    from safetensors.torch import save

    from eca_mmdet.backbones import VARIANTS, ECAResNet
    from eca_mmdet.checkpoints import convert

    address, state = server
    weights = convert(ECAResNet(**VARIANTS['ecaresnet26t']).state_dict(), target='timm').state_dict
    state['content'] = save({name: value.contiguous() for name, value in weights.items()})
    monkeypatch.setenv('HF_ENDPOINT', address)
    assert 'ecaresnet26t' in get_weights('timm/ecaresnet26t.ra2_in1k', tmp_path)
    asked = [path.split('?')[0] for _, path, _ in state['requests']]
    assert '/timm/ecaresnet26t.ra2_in1k/resolve/main/model.safetensors' in asked
    assert (tmp_path / 'weights/ecaresnet26t.pth').is_file()


def test_another_network__is_refused_and_nothing_is_written(official, tmp_path):
    file = tmp_path / 'downloaded.pth'
    file.write_bytes(official)
    with pytest.raises(ValueError, match=r'it is not eca_resnet50_k3557, but ECA-ResNet-18, .* differences'):
        get_weights('eca_resnet50_k3557', tmp_path, file=file)
    assert not (tmp_path / 'weights').exists()


def test_web_page_instead_of_a_file__is_refused(server, tmp_path):
    address, state = server
    state['content'] = b'<!DOCTYPE html><html>quota exceeded</html>'
    with pytest.raises(ValueError, match='web page'):
        get_weights('eca_resnet18_k3577', tmp_path, url=f'{address}/file')
    names = [path.name for path in (tmp_path / 'weights').rglob('*') if path.is_file()]
    assert names == ['eca_resnet18_k3577.pth.tar.rejected']  # the next call downloads again


def test_no_network__names_links_and_extract_codes(tmp_path, monkeypatch, capsys):
    def fail(**options):
        raise OSError('Network is unreachable')

    monkeypatch.setattr('gdown.download', fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        load_tool('get_weights').main(['mask_rcnn_ecanet50_k3377_bs8_lr0.01'])
    assert error.value.code == 2
    printed = capsys.readouterr().err
    for text in (
        'Network is unreachable',
        'https://drive.google.com/uc?id=1z5sAqOD6zZzoVOyAd2VmBztmMXUKy-Nv',
        'https://pan.baidu.com/s/1h_2PgK4PMHa2nTIqU3ZNkQ (extract code xe19)',
        'python tools/get_weights.py mask_rcnn_ecanet50_k3377_bs8_lr0.01 --file DOWNLOADED',
    ):
        assert text in printed
    assert 'Traceback' not in printed


def test_names__cover_every_released_file_and_are_found_in_every_form():
    known = released_checkpoints()
    assert len(known) == 26
    assert all(item.links for item in known.values())
    for name in ('eca_resnet50_k3557', 'eca_resnet50_k3557.pth.tar', 'weights/eca_resnet50_k3557.pth'):
        assert find_released(name).drive == '1670rce333c_lyMWFzBlNZoVUvtxbCF_U'
    assert find_released('ecaresnet50d.miil_in1k').hub == 'timm/ecaresnet50d.miil_in1k'
    with pytest.raises(ValueError, match='of this name. Did you mean eca_resnet50_k3557'):
        find_released('eca_resnet50_k3556')


@pytest.mark.parametrize('name', released_checkpoints())
def test_expected_network__can_be_built(name):
    released = find_released(name)
    tensors = download._expected(released)
    assert any('.eca.' in key or '.eca_mid.' in key for key in tensors)
    assert ('rpn_head.rpn_conv.weight' in tensors or 'bbox_head.retina_cls.weight' in tensors) == (
        'cnn' in released.name.lower().replace('-', '') or 'RetinaNet' in released.name
    )
