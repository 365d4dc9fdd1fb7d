import subprocess
import sys

from conftest import ROOT

from eca_mmdet import doctor
from eca_mmdet.environment import Fact


def run(cwd, **env):
    command = [sys.executable, str(ROOT / 'tools/doctor.py')]
    return subprocess.run(
        command, cwd=cwd, env={'PATH': '/usr/bin:/bin', **env}, capture_output=True, text=True
    )


def test_doctor__passes_on_a_working_installation_and_lists_optional_items(tmp_path):
    result = run(tmp_path)
    states = {line[7:].split('  ')[0]: line[:5].strip() for line in result.stdout.splitlines()}
    assert states['torch'] == states["mmcv's compiled operators"] == states['mmdet'] == 'ok', result.stdout
    assert states['data/shapes'] == 'none'
    for text in ('torch', "mmcv's compiled operators", 'free disk', 'CUDA', 'cache',
                 'make_shapes.py data/shapes'):  # fmt: skip
        assert text in result.stdout


def test_doctor__reports_a_broken_installation_and_the_command_to_fix_it(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text("import sys; sys.modules['mmcv._ext'] = None")
    result = run(tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert 'FAULT' in result.stdout
    assert 'MMCV_WITH_OPS=1 pip install --no-build-isolation' in result.stdout


def test_doctor__reports_a_full_disk_and_a_read_only_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: type('Usage', (), dict(free=1e9)))
    assert doctor._disk_fact(tmp_path).remedy.startswith('free 4.0 GB')
    (tmp_path / 'file').touch()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'file' / 'cache'))
    assert 'TORCH_HOME' in doctor._cache_fact().remedy


def test_doctor__finds_existing_datasets(shapes, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/shapes').symlink_to(shapes)
    facts = {fact.name: fact for fact in doctor.doctor_facts(tmp_path)}
    assert facts['data/shapes'].remedy == ''
    assert facts['data/coco'].remedy.startswith('ln -s')


def test_doctor_table__prints_the_remedy_below_the_fault():
    table = doctor.doctor_table([Fact('a', 'fine'), Fact('b', 'broken', 'fix')]).splitlines()
    assert table[0].split() == ['ok', 'a', 'fine']
    assert table[1].split() == ['FAULT', 'b', 'broken']
    assert table[2].split() == ['->', 'fix']
