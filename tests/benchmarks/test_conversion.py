import json

from conftest import load_tool


def test_benchmark_tool__measures_and_writes_all_pairs_of_suffixes(tmp_path, capsys):
    out = tmp_path / 'conversion.json'
    load_tool('benchmark_conversion').main(['--network', 'ecaresnet26t', '--out', str(out)])
    records = json.loads(out.read_text())['conversion']
    pairs = [(record['source'], record['target']) for record in records]
    assert pairs == [(a, b) for a in ('.pth', '.safetensors') for b in ('.pth', '.safetensors')]
    for record in records:
        assert record['file_bytes'] > 50e6
        assert record['peak_bytes'] > 0.5 * record['file_bytes']
    assert 'peak / file' in capsys.readouterr().out
