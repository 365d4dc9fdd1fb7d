"""What the machine offers, with programs that only print."""

import pytest
from setup_cases import SetupError, machine


def program(folder, name, prints):
    """An executable that only prints."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{prints}"\n')
    path.chmod(0o755)


def test_python_too_old_for_the_pins_is_refused():
    with pytest.raises(SetupError, match=r'(?s)found Python 3\.10.*need 3\.11.*PYTHON='):
        machine.check_python((3, 10, 4))
    machine.check_python((3, 11, 0))


def test_python_without_c_headers_is_refused_before_the_build(tmp_path):
    with pytest.raises(SetupError, match=r'(?s)Python\.h.*to do: install'):
        machine.check_python_parts(str(tmp_path))


def test_disk_without_room_is_refused(venv):
    with pytest.raises(SetupError, match='needs 1e'):
        machine.check_disk(venv / 'below' / 'nothing', free_gb=1e9)
    machine.check_disk(venv, free_gb=0)


def test_compiler_is_the_named_one_else_the_first_on_path(tmp_path, monkeypatch):
    program(tmp_path, 'g++', '')
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    assert machine.find_compiler() == 'g++'
    monkeypatch.setenv('CXX', f'{tmp_path}/g++ -m64')
    assert machine.find_compiler() == f'{tmp_path}/g++ -m64'


@pytest.mark.parametrize('named', ['', 'absent++'])
def test_missing_compiler_is_refused(tmp_path, monkeypatch, named):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('CXX', named)
    with pytest.raises(SetupError, match=f'{named or "clang"}.*(?s:.*)to do'):
        machine.find_compiler()


def test_gpu_is_what_the_driver_lists(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', f'{tmp_path}:/bin:/usr/bin')
    program(tmp_path, 'nvidia-smi', 'No devices found.')
    assert not machine.gpu_listed()
    program(tmp_path, 'nvidia-smi', 'GPU 0: NVIDIA H200 (UUID: GPU-1)')
    assert machine.gpu_listed()


def test_cuda_compiler_is_the_one_of_cuda_home(tmp_path, monkeypatch):
    for home, release in (('path', '12.4'), ('home', '13.0')):
        program(tmp_path / home / 'bin', 'nvcc', f'Cuda compilation tools, release {release}, V{release}.88')
    monkeypatch.setenv('PATH', f'{tmp_path / "path/bin"}:/bin:/usr/bin')
    for name in ('CUDA_HOME', 'CUDA_PATH'):
        monkeypatch.delenv(name, raising=False)
    assert machine.nvcc_release() == '12.4'
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'home'))
    assert machine.nvcc_release() == '13.0'
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'empty'))
    assert machine.nvcc_release() == ''


@pytest.mark.parametrize(
    ('asked', 'gpu', 'torch_cuda', 'nvcc', 'kind'),
    [
        ('', False, '', '', 'cpu'),
        ('', False, '13.0', '13.0', 'cpu'),  # a CUDA torch alone is no reason to wait for CUDA operators
        ('', True, '13.0', '13.2', 'cuda'),
        ('', True, None, '13.2', 'cuda'),
        ('', True, '', '13.2', 'cpu'),  # a CPU torch cannot carry CUDA operators
        ('cpu', True, '13.0', '', 'cpu'),
        ('cuda', False, '13.0', '13.0', 'cuda'),
    ],
)
def test_operators_are_for_cuda_where_gpu_torch_and_compiler_allow(asked, gpu, torch_cuda, nvcc, kind):
    assert machine.operator_kind(asked, gpu, torch_cuda, nvcc) == kind


@pytest.mark.parametrize(
    ('asked', 'gpu', 'torch_cuda', 'nvcc', 'message'),
    [
        ('', True, '13.0', '', r'GPU is here, but not the CUDA compiler(?s:.*)toolkit 13\.x'),
        ('', True, None, '', 'GPU is here, but not the CUDA compiler'),
        ('', True, '13.0', '12.8', r'built with CUDA 13\.0, but the CUDA compiler \(nvcc\) is 12\.8'),
        ('cuda', False, '13.0', '', 'OPERATORS=cuda is set, but not'),
    ],
)
def test_missing_or_other_cuda_compiler_is_told_with_three_ways_on(asked, gpu, torch_cuda, nvcc, message):
    with pytest.raises(SetupError, match=message) as told:
        machine.operator_kind(asked, gpu, torch_cuda, nvcc)
    for way in ('install the CUDA toolkit', 'requirements/onedl.txt', 'OPERATORS=cpu'):
        assert way in str(told.value)


def test_cuda_operators_need_a_cuda_torch():
    with pytest.raises(SetupError, match='CPU build'):
        machine.operator_kind('cuda', True, '', '13.0')


@pytest.mark.parametrize(('cores', 'memory_gb', 'jobs'), [(8, 64, 8), (64, 16, 8), (4, 1, 1)])
def test_compilers_at_once_fit_cores_and_memory(cores, memory_gb, jobs):
    assert machine.build_jobs(cores, memory_gb) == jobs


def test_cpu_operators_hide_the_gpu_from_the_build(monkeypatch):
    monkeypatch.setenv('FORCE_CUDA', '1')
    cpu, cuda = machine.build_environment('cpu'), machine.build_environment('cuda')
    assert (cpu['FORCE_CUDA'], cpu['CUDA_VISIBLE_DEVICES']) == ('0', '')
    assert cuda['FORCE_CUDA'] == '1'
    assert 'CUDA_VISIBLE_DEVICES' not in cuda


def test_operators_are_optimised_whatever_the_caller_adds(monkeypatch):
    monkeypatch.setenv('CFLAGS', '-march=native')
    assert machine.build_environment('cpu')['CFLAGS'] == '-O3 -g0 -march=native'
