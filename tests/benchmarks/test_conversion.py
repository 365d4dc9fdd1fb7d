import json

from conftest import load_tool


def test_tool__measures_every_pair_of_suffixes_and_writes_them(tmp_path, capsys):
    out = tmp_path / 'conversion.json'
    load_tool('benchmark_conversion').main(['--network', 'ecaresnet26t', '--out', str(out)])
    found = json.loads(out.read_text())
    pairs = [(record['source'], record['target']) for record in found['conversion']]
    assert pairs == [(a, b) for a in ('.pth', '.safetensors') for b in ('.pth', '.safetensors')]
    for record in found['conversion']:
        assert record['file_bytes'] > 50e6
        assert record['peak_bytes'] > 0.5 * record['file_bytes']
    assert 'peak / file' in capsys.readouterr().out
