"""tools/export.py writes a file that tools/predict.py uses like the checkpoint."""

import json

import cv2
import numpy as np
import pytest
import torch
from conftest import load_tool
from small_exports import CLASSES, detector, images, require_runtime

NAME = 'mask_rcnn_ecanet18_fpn_1x'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A small detector as a training writes it."""
    cfg, model = detector(NAME)
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder with two images."""
    (tmp_path / 'images').mkdir()
    for number, pixels in enumerate(images()[:2]):
        cv2.imwrite(str(tmp_path / 'images' / f'{number}.png'), pixels)
    return tmp_path / 'images'


def fail(*arguments):
    with pytest.raises(SystemExit) as error:
        load_tool('export').main(list(map(str, arguments)))
    assert error.value.code == 2


def results(model, folder, out):
    load_tool('predict').main([str(model), str(folder), '--out', str(out), '--no-images'])
    return json.loads((out / 'coco_results.json').read_text())


def test_exported_file__predicts_like_the_checkpoint(checkpoint, folder, tmp_path, capsys):
    require_runtime()
    out = tmp_path / 'model.onnx'
    load_tool('export').main([str(checkpoint), str(out), '--check', str(folder / '0.png')])
    printed = capsys.readouterr().out
    assert 'largest difference of boxes:' in printed
    assert 'images with other instances' not in printed
    expected, found = results(checkpoint, folder, tmp_path / 'a'), results(out, folder, tmp_path / 'b')
    assert len(expected) == len(found) > 0
    for one, other in zip(expected, found):
        assert (one['image_id'], one['category_id']) == (other['image_id'], other['category_id'])
        np.testing.assert_allclose(one['bbox'], other['bbox'], atol=2e-3)


def test_int8_file__detects(checkpoint, folder, tmp_path):
    require_runtime()
    import onnx

    from eca_mmdet.prediction.detector import Detector

    out = tmp_path / 'int8.onnx'
    load_tool('export').main([str(checkpoint), str(out), '--int8', str(folder)])
    operators = {node.op_type for node in onnx.load(out).graph.node}
    assert {'QuantizeLinear', 'DequantizeLinear'} <= operators
    assert Detector(out).predict(images()[0], score_thr=0.0).size == (90, 120)


def test_wrong_input__is_an_error_before_the_work(checkpoint, tmp_path, capsys):
    require_runtime()
    fail(checkpoint, tmp_path / 'model.pt')
    assert 'the name must end with .onnx' in capsys.readouterr().err
    (tmp_path / 'there.onnx').write_text('mine')
    fail(checkpoint, tmp_path / 'there.onnx')
    assert 'there.onnx exists; name another target or pass --overwrite' in capsys.readouterr().err
    fail(tmp_path / 'none.pth', tmp_path / 'model.onnx')
    fail(checkpoint, tmp_path / 'model.onnx', '--check', tmp_path / 'none.jpg')
    fail(checkpoint, tmp_path / 'model.onnx', '--size', '100', '128')
    assert not (tmp_path / 'model.onnx').exists()


def test_missing_package__is_one_message(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('eca_mmdet.environment.is_installed', lambda name: name != 'onnx')
    fail(checkpoint, tmp_path / 'model.onnx')
    assert (
        capsys.readouterr().err == "error: exported models need onnx:\n    pip install 'eca_mmdet[export]'\n"
    )
