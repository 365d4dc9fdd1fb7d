"""Three kills of a real training: the short version of ``tests/kill_harness.py``."""

import json
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).parents[1] / 'kill_harness.py'


def test_killed_training__ends_with_the_state_of_the_uninterrupted_one(tmp_path):
    out = tmp_path / 'result.json'
    command = [sys.executable, str(HARNESS), '--task', 'segmentation', '--kills', '3', '--out', str(out)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads(out.read_text())
    assert summary['kills'] == 3
    assert summary['all_equal']
    assert summary['tensors_compared'] > 100
