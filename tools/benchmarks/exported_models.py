"""Compare torch, onnxruntime and OpenVINO on the same images: time and AP."""

import contextlib
import io
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

from mmengine.utils import ProgressBar
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from eca_mmdet.apis import load_config
from eca_mmdet.engine.autocast_regions import add_regions
from eca_mmdet.environment import is_installed
from eca_mmdet.export.int8 import calibration_images, to_int8
from eca_mmdet.export.onnx_model import OnnxModel
from eca_mmdet.export.write_onnx import to_onnx
from eca_mmdet.prediction.model_loading import class_names, find_config, load_model
from eca_mmdet.prediction.sources import read_image
from eca_mmdet.prediction.torch_model import TorchModel

BACKENDS = ('torch', 'torch bf16', 'onnxruntime', 'openvino', 'onnxruntime int8', 'openvino int8')


def benchmark_exported(
    config: str,
    checkpoint: str,
    ann_file: str,
    images: str,
    ranges: str,
    limit: int = 0,
    backends: Sequence[str] = BACKENDS,
) -> Dict[str, Any]:
    """Predict each image with all backends in turn, so that slow drift of the machine affects all equally.

    Args:
        config: The config of a detector, by file or name.
        checkpoint: Its weights.
        ann_file: COCO annotations.
        images: Folder of the annotated images.
        ranges: Folder of images for the quantisation.
        limit: Number of images; 0 for all.
        backends: Of ``BACKENDS``. Those that are not installed are left out.

    Returns:
        Number of images and, for each backend, seconds per image (median and quartiles), their ratio to the
        first, and AP of boxes and masks.
    """
    chosen = [name for name in backends if not name.startswith('openvino') or is_installed('openvino')]
    predictors = _build(config, checkpoint, ranges, chosen)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(ann_file)
    by_id = {item['id']: item['file_name'] for item in truth.dataset['images']}
    ids = sorted(by_id)[: limit or None]
    categories = _categories(truth, next(iter(predictors.values())).classes)
    seconds: Dict[str, List[float]] = {name: [] for name in chosen}
    found: Dict[str, List[dict]] = {name: [] for name in chosen}
    first = read_image(Path(images, by_id[ids[0]]))
    for predictor in predictors.values():
        predictor.predict([first])  # allocations and compilation of kernels
    print('\npredicting ...', flush=True)
    progress = ProgressBar(len(ids))
    for number, image_id in enumerate(ids):
        source = read_image(Path(images, by_id[image_id]))
        for shift in range(len(chosen)):
            name = chosen[(number + shift) % len(chosen)]
            start = time.perf_counter()
            result = predictors[name].predict([source])[0]
            seconds[name].append(time.perf_counter() - start)
            found[name] += result.to_coco(image_id, categories)
        progress.update()
    return dict(images=len(ids), backends=[_record(name, seconds, found, truth, ids) for name in chosen])


def _build(config: str, checkpoint: str, ranges: str, backends: Sequence[str]) -> Dict[str, Any]:
    cfg = load_config(find_config(config))

    def load() -> Any:
        model, meta = load_model(cfg, Path(checkpoint))
        return model.eval(), class_names(cfg, meta)

    def load_torch(is_bf16: bool) -> TorchModel:
        model, classes = load()
        predictor = TorchModel(cfg, model, classes)
        if is_bf16:
            add_regions(predictor.module)
        return predictor

    print('exporting the model ...', flush=True)
    content = to_onnx(cfg, *load())
    quantised = b''
    if any(name.endswith('int8') for name in backends):
        print('measuring the ranges of values for int8 ...', flush=True)
        quantised = to_int8(content, calibration_images(ranges))
    builders: Dict[str, Callable[[], Any]] = {
        'torch': lambda: load_torch(False),
        'torch bf16': lambda: load_torch(True),
        'onnxruntime': lambda: OnnxModel(content),
        'openvino': lambda: OnnxModel(content, 'openvino'),
        'onnxruntime int8': lambda: OnnxModel(quantised),
        'openvino int8': lambda: OnnxModel(quantised, 'openvino'),
    }
    return {name: builders[name]() for name in backends}


def _categories(truth: COCO, classes: Sequence[str]) -> List[int]:
    by_name = {item['name']: item['id'] for item in truth.dataset['categories']}
    return [by_name[name] for name in classes]


def _record(
    name: str, seconds: Dict[str, List[float]], found: Dict[str, List[dict]], truth: COCO, ids: Sequence[int]
) -> Dict[str, Any]:
    first = next(iter(seconds.values()))
    low, median, high = _quartiles(seconds[name])
    ratios = [mine / base for mine, base in zip(seconds[name], first)]
    record = dict(name=name, seconds=median, low=low, high=high, ratio=statistics.median(ratios))
    kinds = ['bbox', *(['segm'] if found[name] and 'segmentation' in found[name][0] else [])]
    return {**record, **{kind: _average_precision(truth, found[name], ids, kind) for kind in kinds}}


def _quartiles(values: Sequence[float]) -> List[float]:
    return statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3


def _average_precision(truth: COCO, found: List[dict], ids: Sequence[int], kind: str) -> float:
    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes([dict(item) for item in found]), kind)
        evaluation.params.imgIds = list(ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def exported_text(results: Dict[str, Any]) -> str:
    """Format the results as a table in Markdown."""
    lines = ['| backend | time per image, quartiles | of torch | box AP | mask AP |', '|---|---|---|---|---|']
    for item in results['backends']:
        aps = [f'{item[kind]:.4f}' if kind in item else '-' for kind in ('bbox', 'segm')]
        times = f'{item["seconds"] * 1000:.0f} ms ({item["low"] * 1000:.0f} to {item["high"] * 1000:.0f})'
        lines.append(f'| {item["name"]} | {times} | {item["ratio"]:.2f} | {" | ".join(aps)} |')
    return '\n'.join(lines)
