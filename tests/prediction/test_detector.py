"""Detector predicts what mmdet predicts, on every kind of input."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import load_tool
from mmengine.registry import MODELS, init_default_scope
from pycocotools.coco import COCO

from eca_mmdet.apis import load_config
from eca_mmdet.prediction.detector import Detector
from eca_mmdet.prediction.model_loading import find_config
from eca_mmdet.prediction.result import Result
from eca_mmdet.prediction.sample_results import panoptic_instances

NAME = 'mask_rcnn_ecanet18_fpn_shapes'
CLASSES = ('circle', 'square', 'triangle')


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A checkpoint as a training writes it, with random weights that detect something."""
    cfg = load_config(f'eca_mmdet::{NAME}.py')
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.model.test_cfg.rcnn.max_per_img = 20
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=CLASSES), epoch=1, iter=10)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def detector(weights):
    return Detector(weights)


@pytest.fixture
def image(shapes):
    return sorted((shapes / 'val2017').iterdir())[0]


def test_prediction__equals_that_of_mmdet(detector, weights, image):
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(detector.cfg, str(weights), device='cpu')
    expected = inference_detector(model, str(image)).pred_instances
    result = detector.predict(image, score_thr=0.0)
    assert len(result) == len(expected) > 0
    order = np.argsort(-expected.scores.numpy(), kind='stable')
    np.testing.assert_allclose(result.boxes, expected.bboxes.numpy()[order], atol=1e-3)
    np.testing.assert_allclose(result.scores, expected.scores.numpy()[order], atol=1e-5)
    np.testing.assert_array_equal(result.labels, expected.labels.numpy()[order])
    assert (result.masks == expected.masks.numpy()[order]).mean() > 0.999


def test_number_of_results__follows_the_input(detector, image):
    pixels = cv2.imread(str(image))
    one = detector.predict(pixels)
    assert isinstance(one, Result)
    assert (one.size, one.path, one.classes) == (pixels.shape[:2], '', CLASSES)
    several = detector.predict([pixels, image, pixels[:40]], batch_size=2)
    assert [result.size for result in several] == [pixels.shape[:2]] * 2 + [(40, pixels.shape[1])]
    found = detector.predict(image.parent)
    assert not isinstance(found, (list, Result))
    assert [result.path for result in found] == [str(path) for path in sorted(image.parent.iterdir())]


def test_threshold_and_classes__select_the_data(detector, image):
    everything = detector.predict(image, score_thr=0.0)
    threshold = float(np.median(everything.scores))
    kept = detector.predict(image, score_thr=threshold)
    assert 0 < len(kept) == (everything.scores >= threshold).sum() < len(everything)
    assert len(kept.masks) == len(kept)
    name = everything.names[0]
    assert set(detector.predict(image, score_thr=0.0, classes=[name]).names) == {name}
    with pytest.raises(ValueError, match=r"unknown classes \['dog'\]. The model has circle, square"):
        detector.predict(image, classes=['dog'])


def test_empty_result__has_arrays_of_the_right_shapes(detector, image):
    result = detector.predict(image, score_thr=1.1)
    assert (result.boxes.shape, result.scores.shape, result.labels.shape) == ((0, 4), (0,), (0,))
    assert result.masks.shape == (0, *result.size)
    assert result.names == result.to_coco(1) == []
    assert result.plot().shape == (*result.size, 3)
    assert len(result.to_supervision()) == 0
    assert 'nothing found' in repr(result)


def test_config_by_name__gives_the_same_prediction(detector, weights, image):
    named = Detector(NAME, weights)
    scores = detector.predict(image, score_thr=0.0).scores
    np.testing.assert_array_equal(named.predict(image, score_thr=0.0).scores[: len(scores)], scores)
    with pytest.raises(FileNotFoundError, match='no such config file, and eca_mmdet has no config of this'):
        find_config('mask_rcnn_unknown')


def test_result__converts_to_coco_and_json(detector, image, shapes):
    result = detector.predict(image, score_thr=0.0)
    truth = COCO(shapes / 'annotations/instances_val2017.json')
    loaded = truth.loadRes(result.to_coco(truth.getImgIds()[0], category_ids=[1, 2, 3]))
    assert len(loaded.anns) == len(result)
    index = next(iter(loaded.anns)) - 1
    np.testing.assert_array_equal(loaded.annToMask(loaded.anns[index + 1]), result.masks[index])
    content = json.loads(json.dumps(result.to_dict()))
    assert len(content['boxes']) == len(content['masks']) == len(content['names']) == len(result)


def test_tool__lists_unreadable_files_and_writes_everything_else(weights, image, tmp_path, shapes, capsys):
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / image.name).write_bytes(image.read_bytes())
    (folder / 'broken.jpg').write_bytes(b'no image')
    annotations = str(shapes / 'annotations/instances_val2017.json')
    out = tmp_path / 'out'
    arguments = [str(weights), str(folder), '--out', str(out), '--score-thr', '0', '--ann', annotations]
    load_tool('predict').main(arguments)
    printed = capsys.readouterr().out
    assert f'not read: {folder}/broken.jpg is not an image or is damaged' in printed
    assert '1 images' in printed
    results = json.loads((out / 'coco_results.json').read_text())
    assert {item['image_id'] for item in results} == {int(image.stem)}
    assert cv2.imread(str(out / 'images' / image.name)).shape == cv2.imread(str(image)).shape
    assert json.loads((out / 'summary.json').read_text())['images'] == 1
    assert not list(out.glob('*.unfinished'))


def test_missing_source__is_an_error_before_the_work(weights, tmp_path):
    with pytest.raises(SystemExit) as error:
        load_tool('predict').main([str(weights), str(tmp_path / 'none'), '--out', str(tmp_path / 'out')])
    assert error.value.code == 2
    assert not Path(tmp_path, 'out').exists()


def test_checkpoint_that_names_code__is_refused(weights, tmp_path):
    checkpoint = torch.load(weights, weights_only=True)
    checkpoint['meta']['cfg'] += '\nx = open("made", "w")'
    torch.save(checkpoint, tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=r'bad\.pth: line \d+ of its config is not a literal'):
        Detector(tmp_path / 'bad.pth')


def test_panoptic_result__becomes_instances_with_masks():
    segments = np.full((6, 8), 2)  # void: the number of classes
    segments[:3, :4], segments[4:, 5:] = 0, 1 + 3000
    result = panoptic_instances(Result(('person', 'sky'), (6, 8)), segments)
    assert result.names == ['person', 'sky']
    np.testing.assert_array_equal(result.boxes, [[0, 0, 4, 3], [5, 4, 8, 6]])
    np.testing.assert_array_equal(result.masks.sum((1, 2)), [12, 6])
    empty = panoptic_instances(Result(('person', 'sky'), (6, 8)), np.full((6, 8), 2))
    assert (empty.boxes.shape, empty.masks.shape) == ((0, 4), (0, 6, 8))
