"""Files from elsewhere are refused with a message, and read nothing but themselves."""

import numpy as np
import pytest
from small_exports import require_runtime

from eca_mmdet.export.image_preparation import Preparation
from eca_mmdet.export.onnx_description import KEY, Description
from eca_mmdet.prediction.detector import Detector


@pytest.fixture(scope='module', autouse=True)
def _runtime():
    require_runtime()


def constant_model(outputs, inputs=('image',), task='detection', classes=('dog',)):
    """Return a model whose outputs are constants."""
    from onnx import TensorProto, helper, numpy_helper

    image = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs]
    nodes = [
        helper.make_node('Constant', [], [name], value=numpy_helper.from_array(value))
        for name, value in outputs.items()
    ]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in outputs.items()
    ]
    graph = helper.make_graph(nodes, 'graph', image, infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, {KEY: Description(task, classes, Preparation()).to_json()})
    return model


def found(count=2, **changes):
    outputs = dict(
        boxes=np.tile(np.float32([1, 2, 3, 4]), (count, 1)),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        labels=np.zeros(count, np.int64),
    )
    return {**outputs, **changes}


def write(model, tmp_path):
    path = tmp_path / 'model.onnx'
    path.write_bytes(model.SerializeToString())
    return path


def predict(model, tmp_path):
    return Detector(write(model, tmp_path)).predict(np.zeros((6, 8, 3), np.uint8))


def test_valid_file__is_used(tmp_path):
    result = predict(constant_model(found()), tmp_path)
    assert (len(result), result.names, result.size) == (2, ['dog', 'dog'], (6, 8))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(labels=np.array([0, 1])), 'predicts labels from 0 to 1, but names 1 classes'),
        (dict(labels=np.array([-1, 0])), 'predicts labels from -1 to 0'),
        (dict(scores=np.zeros(3, np.float32)), r"outputs \['scores'\] have unexpected shapes"),
        (dict(boxes=np.zeros((2, 5), np.float32)), r"outputs \['boxes'\] have unexpected shapes"),
        (dict(boxes=np.zeros((2, 4), np.float64)), r"outputs \['boxes'\] have unexpected shapes or types"),
        (dict(masks=np.zeros((2, 28, 28), np.float32)), 'which are not those of detection'),
    ],
)
def test_other_outputs__are_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=rf'model\.onnx: .*{message}'):
        predict(constant_model(found(**changes)), tmp_path)


@pytest.mark.parametrize('shape', [(2, 7, 8), (2, 6), (3, 6, 8)])
def test_masks_of_another_size__are_refused(shape, tmp_path):
    model = constant_model(found(masks=np.zeros(shape, bool)), task='instance segmentation')
    with pytest.raises(ValueError, match='unexpected shapes or types'):
        predict(model, tmp_path)


def test_other_inputs__are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"its inputs are \['image', 'secret'\]"):
        Detector(write(constant_model(found(), inputs=('image', 'secret')), tmp_path))


@pytest.mark.parametrize('where', ['initializer', 'attribute'])
def test_weights_in_other_files__are_refused(where, tmp_path):
    model = constant_model(found())
    (tmp_path / 'secret').write_bytes(bytes(32))
    tensor = (
        model.graph.node[0].attribute[0].t if where == 'attribute' else model.graph.initializer.add(name='w')
    )
    tensor.ClearField('raw_data')
    tensor.data_type, tensor.data_location = 1, tensor.EXTERNAL
    tensor.external_data.add(key='location', value='secret')
    with pytest.raises(ValueError, match=r'model\.onnx: its weights are in other files, which are not read'):
        Detector(write(model, tmp_path))


def test_files_that_are_no_model__are_refused(tmp_path):
    path = tmp_path / 'model.onnx'
    for content in (b'', b'no model', bytes(100), constant_model(found()).SerializeToString()[:200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'model\.onnx: it is not an ONNX model or is damaged'):
            Detector(path)
    with pytest.raises(FileNotFoundError, match='no such file'):
        Detector(tmp_path / 'other.onnx')


def test_unknown_operator__is_refused(tmp_path):
    model = constant_model(found())
    model.graph.node[0].op_type = 'Secret'
    with pytest.raises(ValueError, match=r'model\.onnx: onnxruntime cannot load it'):
        Detector(write(model, tmp_path))


def test_file_of_another_program__is_refused(tmp_path):
    model = constant_model(found())
    del model.metadata_props[:]
    with pytest.raises(ValueError, match=r'model\.onnx: it was not written by tools/export\.py'):
        Detector(write(model, tmp_path))


def test_backend__must_run_onnx_files(tmp_path):
    path = write(constant_model(found()), tmp_path)
    with pytest.raises(ValueError, match=r'model\.onnx does not run with torch'):
        Detector(path, backend='torch')
    with pytest.raises(
        ValueError, match="backend='tensorrt': allowed are auto, torch, onnxruntime, openvino"
    ):
        Detector(path, backend='tensorrt')
