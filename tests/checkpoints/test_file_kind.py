import gzip
import io
import json
import pickle
import re
import tarfile
import warnings
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.package import PackageExporter

from eca_mmdet.checkpoints import read_checkpoint
from eca_mmdet.checkpoints.file_kind import describe_file

WEIGHTS = dict(state_dict=dict(w=torch.arange(300.0)))


def saved(**options):
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer, **options)
    return buffer.getvalue()


def zipped(**records):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, content in records.items():
            archive.writestr(name.replace('__', '/'), content)
    return buffer.getvalue()


def script():
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch.jit is deprecated, but its files are still in use
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def exported():
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), buffer)
    return buffer.getvalue()


def package():
    buffer = io.BytesIO()
    with PackageExporter(buffer) as exporter:
        exporter.save_pickle('model', 'model.pkl', WEIGHTS)
    return buffer.getvalue()


def float8():
    buffer = io.BytesIO()
    torch.save(torch.zeros(3).to(torch.float8_e4m3fn), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(3))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        info = tarfile.TarInfo('x.pth')
        info.size = 4
        archive.addfile(info, io.BytesIO(b'abcd'))
    return buffer.getvalue()


def flipped(content, place):
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


KINDS = dict(
    script=(script, 'a TorchScript archive'),
    exported=(exported, r'a torch.export archive \(.pt2\)'),
    package=(package, 'a torch.package archive'),
    npz=(npz, r'a NumPy archive \(.npz\)'),
    npy=(npy, r'a single NumPy array \(.npy\)'),
    zip=(lambda: zipped(readme='hello'), r"a zip file that torch did not write. It holds \['readme'\]"),
    empty_zip=(lambda: zipped(), 'a zip file that torch did not write. It holds nothing'),
    gzip=(lambda: gzip.compress(saved()), 'compressed by gzip; unpack it first'),
    tar=(tar, 'a tar archive; unpack it first'),
    seven=(lambda: b'7z\xbc\xaf\x27\x1c' + bytes(50), 'a 7z archive'),
    hdf5=(lambda: b'\x89HDF\r\n\x1a\n' + bytes(50), 'an HDF5 file'),
    onnx=(lambda: b'\x08\x08\x12\x07pytorch' + bytes(50), 'an ONNX model'),
    lfs=(lambda: b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git lfs pull'),
    page=(lambda: b'\n<html><body>Sign in</body></html>', 'a web page'),
    json=(lambda: json.dumps(dict(a='b')).encode(), 'JSON text'),
    json_like_safetensors=(lambda: b'{"a": 1, {"b": 2}}', 'JSON text'),
    plain_pickle=(lambda: pickle.dumps(dict(w=[1.0])), 'a plain pickle, not a torch checkpoint'),
    noise=(lambda: b'\x00\x01' * 100, 'not a torch checkpoint'),
    cut_zip=(lambda: saved()[:-30], 'a truncated checkpoint'),
    cut_legacy=(lambda: saved(_use_new_zipfile_serialization=False)[:-30], 'a truncated checkpoint'),
    cut_or_float8=(
        float8,
        "truncated checkpoint, or one with objects that torch's format before 1.6 lacks",
    ),
    cut_pickle=(lambda: pickle.dumps(dict(w=[1.0]))[:-3], 'a truncated checkpoint'),
    flipped=(lambda: flipped(saved(), saved().index(b'\x80\x02}') + 2), 'a damaged checkpoint .*data.pkl'),
)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('mmap', [False, True])
def test_read__of_another_kind_of_file_names_the_kind(tmp_path, kind, mmap):
    make, message = KINDS[kind]
    path = tmp_path / 'x.pth'
    path.write_bytes(make())
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(path, mmap=mmap)
    assert str(path) in str(error.value)
    assert ('truncated' in str(error.value)) == kind.startswith('cut')


@pytest.mark.parametrize('zip_format', [True, False])
@pytest.mark.parametrize('protocol', [1, 4, 5])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_read__of_an_unsupported_pickle_protocol_explains_how_to_save_again(tmp_path, zip_format, protocol):
    path = tmp_path / 'x.pth'
    path.write_bytes(saved(pickle_protocol=protocol, _use_new_zipfile_serialization=zip_format))
    with pytest.raises(ValueError, match='a torch checkpoint of pickle protocol') as error:
        read_checkpoint(path)
    code = re.search('python -c "(.*)"', str(error.value))[1]
    exec(code.replace('NEW.pth', str(tmp_path / 'NEW.pth')))
    assert torch.equal(read_checkpoint(tmp_path / 'NEW.pth')['state_dict']['w'], WEIGHTS['state_dict']['w'])


@pytest.mark.parametrize('zip_format', [True, False])
@pytest.mark.parametrize('protocol', [2, 3])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_read__accepts_the_pickle_protocols_that_torch_reads_safely(tmp_path, zip_format, protocol):
    path = tmp_path / 'x.pth'
    path.write_bytes(saved(pickle_protocol=protocol, _use_new_zipfile_serialization=zip_format))
    assert torch.equal(read_checkpoint(path)['state_dict']['w'], WEIGHTS['state_dict']['w'])


@pytest.mark.parametrize('zip_format', [True, False])
def test_read__accepts_a_torch_file_named_safetensors(tmp_path, zip_format):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(saved(_use_new_zipfile_serialization=zip_format))
    assert torch.equal(read_checkpoint(path)['state_dict']['w'], WEIGHTS['state_dict']['w'])


def test_read__of_a_misnamed_safetensors_file_names_its_kind(tmp_path):
    (tmp_path / 'x.safetensors').write_text('<!DOCTYPE html>')
    with pytest.raises(ValueError, match='it is a web page'):
        read_checkpoint(tmp_path / 'x.safetensors')


def test_describe__does_not_execute_code_of_the_file(tmp_path):
    ran = tmp_path / 'ran'

    class Hostile:
        def __reduce__(self):
            return open, (str(ran), 'w')

    (tmp_path / 'x').write_bytes(pickle.dumps(Hostile()))
    assert 'a plain pickle' in describe_file(tmp_path / 'x')
    assert not ran.exists()


FILES = [saved(), saved(_use_new_zipfile_serialization=False), script(), npz()]


@given(st.sampled_from(FILES), st.data())
def test_read__of_a_damaged_file_returns_its_content_or_raises_value_error(tmp_path_factory, content, data):
    cut = data.draw(st.integers(1, len(content)), label='length')
    place = data.draw(st.integers(0, cut - 1), label='changed byte')
    value = data.draw(st.integers(0, 255), label='its value')
    damaged = bytearray(content[:cut])
    damaged[place] = value
    path = tmp_path_factory.getbasetemp() / 'damaged.pth'
    path.write_bytes(bytes(damaged))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with suppress(ValueError):
            read_checkpoint(path)


def test_read__accepts_safetensors_without_the_suffix(tmp_path):
    save_file(WEIGHTS['state_dict'], tmp_path / 'x.bin')
    assert torch.equal(read_checkpoint(tmp_path / 'x.bin')['state_dict']['w'], WEIGHTS['state_dict']['w'])
