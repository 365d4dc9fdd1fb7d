"""The wheel, the config package and the check of the installed packages."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, METRICS

import eca_mmdet
from eca_mmdet import environment

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def wheel(tmp_path_factory):
    """Build the wheel of the project."""
    source, target = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'model-index.yml'):
        shutil.copy(ROOT / name, source)
    for name in ('eca_mmdet', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    command = [
        sys.executable,
        '-m',
        'pip',
        'wheel',
        '--no-deps',
        '--no-build-isolation',
        '-q',
        '-w',
        target,
        '.',
    ]
    subprocess.run(list(map(str, command)), check=True, cwd=source)
    return next(target.glob('eca_mmdet-*.whl'))


def test_wheel__contains_configs_tools_and_model_index(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    developer_tools = re.compile(r'benchmark.*|readme_tables|setup_env')
    tools = [path for path in ROOT.glob('tools/*.py') if not developer_tools.fullmatch(path.stem)]
    for path in [*ROOT.glob('configs/**/*.py'), *tools]:
        assert f'eca_mmdet/.mim/{path.relative_to(ROOT)}' in names
    assert sum(name.startswith('eca_mmdet/.mim/tools/') for name in names) == len(tools)
    assert {'eca_mmdet/.mim/model-index.yml', 'eca_mmdet/.mim/configs/metafile.yml'} <= set(names)
    assert not any(name.startswith(('tests/', 'configs/')) for name in names)


def test_wheel__contains_the_page_of_the_report(wheel):
    assert 'eca_mmdet/report/page.html' in zipfile.ZipFile(wheel).namelist()


def test_installed_wheel__finds_its_configs_from_any_folder(wheel, tmp_path):
    """A user config inherits from one of the package, outside the repository."""
    site = tmp_path / 'site'
    zipfile.ZipFile(wheel).extractall(site)
    config = tmp_path / 'mine.py'
    config.write_text(
        "_base_ = 'eca_mmdet::mask_rcnn_ecanet50_fpn_1x.py'\nmodel = dict(backbone=dict(with_cp=True))\n"
    )
    code = (
        'import eca_mmdet, mmengine; from mmengine.hub import get_config;'
        f"cfg = mmengine.Config.fromfile('{config}');"
        "assert cfg.model.backbone.with_cp and cfg.model.backbone.type == 'ECAResNet';"
        "assert get_config('eca_mmdet::retinanet_ecanet101_fpn_1x.py').model.backbone.depth == 101;"
        'print(eca_mmdet.__file__)'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1].startswith(str(site))


def test_base_config_of_another_package__is_found(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmdet::_base_/schedules/schedule_1x.py'")
    assert Config.fromfile(config).train_cfg.max_epochs == 12


@pytest.mark.parametrize('name', ['mask_rcnn_ecanet18_fpn_shapes.py', 'mask_rcnn_ecanet50_fpn_1x.py'])
def test_derived_config__builds_its_parts_from_mmdet_registries(tmp_path, name, shapes, capfd):
    """mmengine uses the name of the package as the scope of what its configs build."""
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = 'eca_mmdet::{name}'")
    cfg = Config.fromfile(config)
    for hook in cfg.custom_hooks:
        assert HOOKS.build(hook) is not None
    if 'shapes' in name:
        cfg.val_dataloader.dataset.data_root = str(shapes)
        cfg.val_evaluator.ann_file = f'{shapes}/annotations/instances_val2017.json'
        assert len(DATASETS.build(cfg.val_dataloader.dataset)) == 4
        METRICS.build(cfg.val_evaluator)
    assert 'not installed' not in ''.join(capfd.readouterr())


def test_unknown_config__raises_file_not_found(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'eca_mmdet::nothing.py'")
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        Config.fromfile(config)


def break_import(monkeypatch, module, error):
    original = environment.importlib.import_module

    def fail(name):
        if name == module:
            raise error
        return original(name)

    monkeypatch.setattr(environment.importlib, 'import_module', fail)


@pytest.mark.parametrize(
    ('module', 'error', 'message'),
    [
        ('mmcv._ext', ModuleNotFoundError("No module named 'mmcv._ext'"), 'MMCV_WITH_OPS=1 pip install'),
        ('mmcv._ext', ImportError('undefined symbol: _ZN3c10'), 'against the installed torch'),
        ('mmdet', AssertionError('MMCV==2.3.0 is used but incompatible'), 'MMCV==2.3.0 is used'),
        ('mmcv', ModuleNotFoundError("No module named 'mmcv'"), 'make setup'),
        ('mmengine', ModuleNotFoundError("No module named 'pkg_resources'"), 'setuptools<80'),
    ],
)
def test_broken_package__raises_an_error_with_versions_and_remedy(monkeypatch, module, error, message):
    break_import(monkeypatch, module, error)
    with pytest.raises(ImportError, match='eca_mmdet cannot run') as caught:
        environment.require_stack()
    assert message in str(caught.value)
    assert environment.installed('torch') in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_import__reports_missing_operators(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text("import sys; sys.modules['mmcv._ext'] = None")
    result = subprocess.run(
        [sys.executable, '-c', 'import eca_mmdet'],
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'},
        capture_output=True,
        text=True,
    )
    assert "eca_mmdet cannot run: mmcv's compiled operators" in result.stderr
    assert 'MMCV_WITH_OPS=1' in result.stderr


def test_version__is_in_the_changelog():
    assert f'## [{eca_mmdet.__version__}]' in (ROOT / 'CHANGELOG.md').read_text()
