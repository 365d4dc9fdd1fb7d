"""Run the graph of an ONNX file with onnxruntime or OpenVINO on the CPU."""

from typing import Any, Dict, Iterator, List, Mapping, Protocol

import numpy as np
import torch

from ..environment import require_packages
from .exportable import require_onnx

RUNTIMES = ('onnxruntime', 'openvino')


class Session(Protocol):
    """A loaded graph."""

    inputs: List[str]
    outputs: List[str]
    metadata: Dict[str, str]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Compute the outputs by name."""


def open_session(content: bytes, runtime: str = 'onnxruntime') -> Session:
    """Load the graph of a file.

    Args:
        content: The content of the file. Nothing else is read.
        runtime: One of ``RUNTIMES``.

    Raises:
        MissingPackageError: If the runtime is not installed.
        ValueError: If the content is not an ONNX model, needs other files, or cannot be loaded.
    """
    require_onnx(*([runtime] if runtime == 'onnxruntime' else []))
    if runtime == 'openvino':
        require_packages(['openvino'], 'models with the backend openvino', 'pip install openvino')
    cls = _OpenVino if runtime == 'openvino' else _OnnxRuntime
    return cls(content, _read_model(content))


def _read_model(content: bytes) -> Any:
    """Parse a file and check that it does not ask the runtime to read other files."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, RuntimeError):
        raise ValueError('it is not an ONNX model or is damaged') from None
    if not model.graph.node:
        raise ValueError('it is not an ONNX model or is damaged')
    if any(tensor.external_data or tensor.data_location for tensor in _tensors(model)):
        raise ValueError('its weights are in other files, which are not read. Export it as one file')
    return model


def _tensors(message: Any) -> Iterator[Any]:
    """Yield all tensors in a protobuf message, at any depth."""
    if message.DESCRIPTOR.name == 'TensorProto':
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, 'DESCRIPTOR') else value:
                yield from _tensors(part)


class _OnnxRuntime:
    def __init__(self, content: bytes, model: Any) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime has an exception class per status code
            raise ValueError(f'onnxruntime cannot load it: {str(error).splitlines()[0]:.300}') from None
        self.inputs = [item.name for item in self._session.get_inputs()]
        self.outputs = [item.name for item in self._session.get_outputs()]
        self.metadata = {item.key: item.value for item in model.metadata_props}

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, dict(feeds))))


class _OpenVino:
    def __init__(self, content: bytes, model: Any) -> None:
        import openvino

        # float32 as in torch: OpenVINO would compute in bfloat16 where the processor can
        options = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()}
        try:
            core = openvino.Core()
            self._model = core.compile_model(core.read_model(content), 'CPU', options)
        except RuntimeError as error:
            raise ValueError(f'OpenVINO cannot load it: {str(error).splitlines()[0]:.300}') from None
        # OpenVINO may give tensors other names, but keeps the order
        self.inputs = [item.name for item in model.graph.input]
        self.outputs = [item.name for item in model.graph.output]
        self.metadata = {item.key: item.value for item in model.metadata_props}

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        found = self._model({self.inputs.index(name): value for name, value in feeds.items()})
        return {name: found[index] for index, name in enumerate(self.outputs)}
