import json
import subprocess
import sys

import pytest
import torch
from benchmarks import Cases, backbones, benchmark_backbones, build_contestant
from benchmarks.equality import check_equal
from benchmarks.measure import interleave, ratios, to_best_stock
from benchmarks.models import BASELINES, with_baselines
from conftest import ROOT, load_tool

from eca_mmdet import ECAResNet


def test_interleave__runs_all_calls_every_round_and_discards_the_warmup():
    order = []
    calls = {name: lambda name=name: order.append(name) or len(order) for name in 'abc'}
    seconds = interleave(calls, repeats=2, warmup=1)
    assert ''.join(order) == 'abcbcacab'
    assert seconds == dict(a=[6, 8], b=[4, 9], c=[5, 7])


def test_ratios__are_computed_per_round():
    assert ratios([2, 4, 200], [1, 2, 100])['median'] == 2


def test_best_stock__is_the_fastest_of_the_same_precision():
    measured = {
        'stock': [4, 4],
        'stock+channels_last': [2, 2],
        'stock+amp': [1, 1],
        'ours': [3, 5],
        'ours+amp': [2, 2],
    }
    assert to_best_stock('ours', measured)['best_stock']['model'] == 'stock+channels_last'
    assert to_best_stock('ours', measured)['best_stock']['median'] == 2
    assert to_best_stock('ours+amp', measured)['best_stock']['model'] == 'stock+amp'
    assert to_best_stock('a', {'a': [1]}) == {}


def test_baselines__are_added_in_float32_and_if_needed_in_bfloat16():
    assert with_baselines(['ours']) == [*BASELINES, 'ours']
    assert set(with_baselines(['ours+amp'])) == {
        *BASELINES,
        *(f'{name}+amp' for name in BASELINES),
        'ours+amp',
    }


def test_peak_memory__includes_memory_that_is_freed_before_the_call_returns():
    """Uses a separate process, since in this one the call may reuse memory that earlier tests freed."""
    script = (
        'import torch; from benchmarks.measure import peak_memory, resident_bytes\n'
        "print(peak_memory(lambda: torch.ones(64 << 18).sum(), 'cpu', resident_bytes()))"
    )
    command = [sys.executable, '-c', script]
    result = subprocess.run(command, cwd=ROOT / 'tools', capture_output=True, text=True, check=True)
    assert int(result.stdout.splitlines()[-1]) >= 60 << 20


@pytest.mark.parametrize(
    ('compute', 'limit'), [(backbones.compute_features, 1e-4), (backbones.compute_gradients, 1e-9)]
)
def test_check_equal__rejects_models_that_compute_different_values(compute, limit):
    ours, naive = (build_contestant(name, depth=18) for name in ('ours', 'naive'))
    inputs = backbones.make_inputs(ours, 1, (64, 64), 'cpu')
    (record,) = check_equal(compute(contestant, *inputs) for contestant in (naive, ours))
    assert record['error'] < record['limit'] == limit
    torch.nn.init.zeros_(ours.module.layer3[0].eca.conv.weight)
    with pytest.raises(ValueError, match='ours and naive compute different values'):
        check_equal(compute(contestant, *inputs) for contestant in (naive, ours))


def test_build_contestant__gives_one_architecture_the_same_weights_and_applies_the_options():
    ours, naive = (build_contestant(name, depth=18).module for name in ('ours', 'naive'))
    assert isinstance(naive, ECAResNet)
    assert (ours.fast, naive.fast) == (True, False)
    torch.testing.assert_close(dict(ours.state_dict()), dict(naive.state_dict()), rtol=0, atol=0)
    contestant = build_contestant('stock+channels_last', depth=18)
    x = contestant.to_memory_format(torch.rand(1, 3, 8, 8))
    assert x.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match='unknown model'):
        build_contestant('ours+fp8')


def test_benchmark_tool__writes_results_checks_and_machine(tmp_path, capsys):
    out = tmp_path / 'speed.json'
    arguments = ['--depth', '18', '--sizes', '64x64', '--batches', '1', '--repeats', '2', '--warmup', '1']
    load_tool('benchmark').main(
        [*arguments, '--models', 'naive', 'ours', '--modes', 'train', 'infer', '--out', str(out)]
    )
    content = json.loads(out.read_text())
    assert {(r['model'], r['mode']) for r in content['results']} == {
        (model, mode) for model in (*BASELINES, 'naive', 'ours') for mode in ('train', 'infer')
    }
    compared = ['stock+channels_last', 'naive', 'ours']  # each with the first one of its architecture
    assert [(c['model'], c['what']) for c in content['checks']] == [
        (model, what) for what in ('features', 'gradients') for model in compared
    ]
    assert content['machine']['threads'] == torch.get_num_threads()
    assert 'ratio' in capsys.readouterr().out


def test_benchmark_tool__rejects_wrong_arguments_before_measuring(tmp_path, capsys):
    out = tmp_path / 'speed.json'
    out.touch()
    models = [['--models', 'theirs'], ['--models', 'ours+triton'], ['--models', 'stock+triton']]
    wrong = [['--sizes', '8x8'], ['--sizes'], ['--tail', '--models', 'ours']]
    for arguments in (['--out', str(out)], *models, *wrong):
        with pytest.raises(SystemExit, match='2'):
            load_tool('benchmark').main(arguments)
    printed = capsys.readouterr().err
    assert 'expected one of stock' in printed
    assert '+triton needs ours or nchw on a CUDA device' in printed


def test_benchmark_tool__does_not_overwrite_results_of_another_machine(tmp_path, capsys):
    out = tmp_path / 'speed.json'
    out.write_text(json.dumps(dict(machine=dict(processor='Z80'))))
    with pytest.raises(SystemExit, match='2'):
        load_tool('benchmark').main(['--out', str(out), '--overwrite'])
    assert 'was measured on Z80' in capsys.readouterr().err
    assert json.loads(out.read_text())['machine']['processor'] == 'Z80'


def test_tail_benchmark__compares_with_the_memory_bandwidth_limit(tmp_path, capsys):
    out = tmp_path / 'tail.json'
    load_tool('benchmark').main(['--tail', '--sizes', '32x64', '--repeats', '2', '--out', str(out)])
    results = json.loads(out.read_text())['results']
    assert len(results) == 4 * 2 * 3  # stages, dtypes, implementations
    for record in results:
        limit = next(r for r in results if r['model'] == 'limit, ' + record['model'].split(', ')[1])
        assert limit['ratio']['median'] == 1
        low, high = record['seconds']['q1'], record['seconds']['q3']
        assert low <= record['seconds']['median'] <= high
    assert 'ours, stage 4 bfloat16' in capsys.readouterr().out


def test_convolution_benchmark__compares_with_torch(tmp_path):
    out = tmp_path / 'convolutions.json'
    load_tool('benchmark').main(
        ['--convolutions', '--sizes', '32x64', '--repeats', '1', '--warmup', '1', '--out', str(out)]
    )
    results = json.loads(out.read_text())['results']
    assert len(results) == 7 * 2 * 3  # convolutions, directions, implementations
    assert {r['ratio']['median'] for r in results if r['model'].startswith('stock,')} == {1}


def test_memory_benchmark__includes_weights_and_activations(monkeypatch):
    monkeypatch.setattr('benchmarks.models.BASELINES', ('stock',))  # each model starts a process
    cases = Cases(sizes=[(64, 64)], batches=[1], modes=['memory'], repeats=1)
    stock = benchmark_backbones([], cases, depth=18)['results'][0]
    weights = 11_000_000 * 4
    assert 1.5 * weights < stock['bytes'] < 10 * weights
    assert stock['ratio']['median'] == 1
