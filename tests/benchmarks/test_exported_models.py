import json

import pytest
import torch
from conftest import load_tool
from small_exports import CLASSES, detector, require_runtime


def test_benchmark_tool__gives_torch_and_onnxruntime_the_same_ap(shapes, tmp_path, capsys):
    require_runtime()
    cfg, model = detector('mask_rcnn_ecanet18_fpn_1x')
    cfg.dump(tmp_path / 'config.py')
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'epoch_1.pth')
    out = tmp_path / 'export.json'
    options = dict(ann=shapes / 'annotations/instances_val2017.json', images=shapes / 'val2017')
    options |= {'int8-images': shapes / 'train2017', 'limit': 2, 'out': out}
    arguments = [str(part) for name, value in options.items() for part in (f'--{name}', value)]
    paths = [str(tmp_path / 'config.py'), str(tmp_path / 'epoch_1.pth')]
    load_tool('benchmark_export').main([*paths, *arguments, '--backends', 'torch', 'onnxruntime'])
    content = json.loads(out.read_text())
    torch_record, other = content['backends']
    assert (content['images'], torch_record['name'], other['name']) == (2, 'torch', 'onnxruntime')
    for kind in ('bbox', 'segm'):
        assert torch_record[kind] == pytest.approx(other[kind], abs=5e-4)
    assert torch_record['ratio'] == 1
    assert '| backend | time per image' in capsys.readouterr().out
