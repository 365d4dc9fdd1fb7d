"""Write a trained model as an ONNX file of standard operators."""

import warnings
from io import BytesIO
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from mmengine.config import Config

from .config_preparation import preparation_of
from .exportable import require_onnx, task_of_model
from .image_preparation import Preparation
from .onnx_description import KEY, Description
from .standard_operators import OPSET
from .trace_check import check_other_sizes
from .traced_inputs import example_inputs

# Names of the sides of outputs whose size depends on the image. Torch's exporter guesses them, and may give
# one name to different sizes, which onnxruntime then takes for equal.
_SHAPES: Dict[str, Tuple[Any, ...]] = {
    'boxes': ('count', 4),
    'scores': ('count',),
    'labels': ('count',),
    'masks': ('count', 'mask_height', 'mask_width'),
    'segmentation': ('original_height', 'original_width'),
    'probabilities': ('batch', 'classes'),
}


def to_onnx(
    cfg: Config,
    model: Any,
    classes: Sequence[str],
    size: Optional[Tuple[int, int]] = None,
    paste_masks: bool = False,
) -> bytes:
    """Export a model.

    Args:
        cfg: The config of the model, with its test pipeline.
        model: The model with its weights, on the CPU.
        classes: Names of the classes.
        size: Height and width of the input; ``None`` for a file that takes every size.
        paste_masks: Whether a Mask R-CNN returns masks of the size of the image instead of 28 x 28.

    Returns:
        The content of the file.

    Raises:
        MissingPackageError: If onnx is not installed.
        ValueError: If the model or its pipeline cannot be exported, or the file is wrong for other sizes.
    """
    require_onnx()
    task = task_of_model(model)
    preparation = preparation_of(cfg, getattr(model, 'data_preprocessor', None), size)
    _check_size(size, preparation.pad_divisor)
    if paste_masks and task != 'instance segmentation':
        raise ValueError(f'--paste-masks is for Mask R-CNN, and this model is for {task}')
    graph = _graph_of(model, task, paste_masks).eval()  # the exporter restores the mode of the outer module
    config = str(getattr(cfg, 'filename', None) or '').replace('\\', '/').split('/')[-1]
    threshold = model.roi_head.test_cfg.mask_thr_binary if task == 'instance segmentation' else 0.5
    description = Description(task, tuple(classes), preparation, float(threshold), config)
    content = _finish(_trace(graph, preparation), description)
    check_other_sizes(graph, content, preparation)
    return content


def _check_size(size: Optional[Tuple[int, int]], divisor: int) -> None:
    if size and (min(size) < 1 or any(side % divisor for side in size)):
        raise ValueError(
            f'--size {size[0]} {size[1]}: both sides must be multiples of {divisor}, the padding'
        )


def _graph_of(model: Any, task: str, paste_masks: bool) -> Any:
    if task == 'semantic segmentation':
        from .pixel_graphs import SegmentationGraph

        return SegmentationGraph(model)
    if task == 'classification':
        from .pixel_graphs import ClassificationGraph

        return ClassificationGraph(model)
    if hasattr(model, 'roi_head'):
        from .two_stage_graph import TwoStageGraph

        return TwoStageGraph(model, paste_masks)
    from .one_stage_graph import OneStageGraph

    return OneStageGraph(model)


@torch.no_grad()
def _trace(graph: Any, preparation: Preparation) -> bytes:
    """Return the file that torch's exporter writes."""
    dynamic = {} if preparation.pad_size else {2: 'height', 3: 'width'}
    if graph.inputs == ('image',):
        dynamic = {0: 'batch', **dynamic}
    inputs = example_inputs(preparation, (128, 192))
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the tracer about Python code of layers, and of the old exporter
        torch.onnx.export(
            graph,
            tuple(inputs[name] for name in graph.inputs),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=dict(image=dynamic) if dynamic else None,
        )
    return file.getvalue()


def _finish(content: bytes, description: Description) -> bytes:
    """Add the description, name the sizes of outputs, and check the file."""
    import onnx

    model = onnx.load_model_from_string(content)
    for output in model.graph.output:
        shape = output.type.tensor_type.shape
        del shape.dim[:]
        for side in _SHAPES[output.name]:
            shape.dim.add(**{'dim_value' if isinstance(side, int) else 'dim_param': side})
    onnx.helper.set_model_props(model, {KEY: description.to_json()})
    onnx.checker.check_model(model)
    custom = sorted({f'{node.domain}.{node.op_type}' for node in model.graph.node if node.domain})
    if custom:
        raise ValueError(f'a layer of this model becomes operators that are not of ONNX: {", ".join(custom)}')
    return model.SerializeToString()
