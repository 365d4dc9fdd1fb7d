"""The set-up tool and environments for it to judge, shared by its tests."""

import json
import sys

from conftest import ROOT, load_tool

TOOLS = ROOT / 'tools'
sys.path.append(str(TOOLS))  # where its parts are found when it runs as a script
setup_env = load_tool('setup_env')
machine, running, venv_state = setup_env.machine, setup_env.running, setup_env.venv_state
SetupError, Todo = setup_env.SetupError, setup_env.Todo


def complete(venv, torch='2.13.0+cpu', **changes):
    """Lay out the files by which an environment is judged, and its stamp with ``changes``."""
    site = venv / 'lib/python3.11/site-packages'
    for name in (f'torch-{torch}.dist-info', 'mmcv'):
        (site / name).mkdir(parents=True)
    (site / f'torch-{torch}.dist-info/METADATA').write_text(f'Name: torch\nVersion: {torch}\n')
    (site / 'mmcv/_ext.cpython-311-x86_64-linux-gnu.so').touch()
    (venv / 'bin').mkdir()
    (venv / 'bin/python').touch()
    stamp = {'torch': '2.13.0+cpu', 'operators': 'cpu', 'asked': '', **setup_env.wanted_stamp(), **changes}
    (venv / venv_state.STAMP).write_text(json.dumps(stamp))
    return venv


def state_of(venv, asked=''):
    return venv_state.todo(venv, setup_env.wanted_stamp(), asked)
