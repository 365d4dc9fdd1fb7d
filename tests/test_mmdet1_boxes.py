"""The legacy modules and converted detectors give the results of mmdet 1.x."""

import mmdet1_reference as reference
import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope

from eca_mmdet.checkpoints import convert
from eca_mmdet.checkpoints.detector_configs import detector_config

EDGE = torch.tensor([0.0, 0, 1, 1])  # added to the last pixel to get the edge
SHAPE = (120, 92)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def config(name):
    return detector_config(f'legacy/{name}_ecanet50_fpn_1x_v1.py', [3, 3, 7, 7], 80).model


@pytest.mark.parametrize(
    ('name', 'head', 'scales'),
    [
        ('faster_rcnn', 'rpn_head', [8]),
        ('mask_rcnn', 'rpn_head', [8]),
        ('retinanet', 'bbox_head', [4 * 2 ** (i / 3) for i in range(3)]),
    ],
)
def test_anchors__equal_the_reference(name, head, scales):
    generator = TASK_UTILS.build(config(name)[head].anchor_generator)
    shapes = [(9, 7), (5, 4), (3, 2), (2, 1), (1, 1)]
    strides = [8, 16, 32, 64, 128] if name == 'retinanet' else [4, 8, 16, 32, 64]
    for ours, stride, shape in zip(generator.grid_priors(shapes, device='cpu'), strides, shapes):
        expected = reference.anchors(stride, shape, (0.5, 1, 2), scales)
        torch.testing.assert_close(ours, expected + EDGE, rtol=0, atol=0)


def random_boxes(count):
    """Draw boxes in the convention of mmdet 1.x, from smaller than a cell to larger than the image."""
    corner, size = torch.rand(count, 2) * 100 - 10, torch.exp(torch.rand(count, 2) * 6)
    return torch.cat([corner, corner + size - 1], 1)


@pytest.mark.parametrize('shape', [None, SHAPE])
def test_decoded_boxes__equal_the_reference(shape):
    model = config('faster_rcnn')
    boxes, deltas = random_boxes(300), torch.randn(300, 12) * 3
    for head, columns in ((model.rpn_head, slice(0, 4)), (model.roi_head.bbox_head, slice(0, 12))):
        coder = TASK_UTILS.build(head.bbox_coder)
        ours = coder.decode(boxes + EDGE, deltas[:, columns], max_shape=shape)
        for c in range(0, ours.shape[1], 4):
            expected = reference.decode(boxes, deltas[:, c : c + 4], coder.stds, shape)
            torch.testing.assert_close(ours[:, c : c + 4], expected + EDGE, rtol=1e-5, atol=1e-4)


def test_decoded_boxes__outside_the_image_keep_one_pixel():
    coder = TASK_UTILS.build(config('faster_rcnn').rpn_head.bbox_coder)
    outside = torch.tensor([[200.0, -50, 210, -40]])
    ours = coder.decode(outside, torch.zeros(1, 4), max_shape=SHAPE)
    torch.testing.assert_close(ours, torch.tensor([[91.0, 0, 92, 1]]))


@pytest.mark.parametrize(('name', 'size'), [('bbox', 7), ('mask', 14)])
def test_roi_features__equal_the_reference(name, size):
    extractor = MODELS.build(config('mask_rcnn').roi_head[f'{name}_roi_extractor'])
    features = [torch.randn(1, 256, 32 // 2**i, 24 // 2**i) for i in range(4)]
    boxes = random_boxes(60)
    rois = torch.cat([torch.zeros(60, 1), boxes + EDGE], 1)
    torch.testing.assert_close(
        extractor(features, rois), reference.roi_features(features, boxes, size), rtol=1e-4, atol=1e-4
    )


def test_roi_extractor__rejects_aligned_roi_align():
    cfg = config('faster_rcnn').roi_head.bbox_roi_extractor
    cfg.roi_layer.aligned = True
    with pytest.raises(ValueError, match='aligned=False'):
        MODELS.build(cfg)


def converted(kind):
    """Return a random mmdet 1.x detector, its converted model, and features of a 128 x 96 image."""
    weights = reference.detector_1x(kind)
    conversion = convert(weights, source='detector-1.x')
    model = MODELS.build(
        detector_config(conversion.detector.config, conversion.backbone['eca_kernel_sizes'], 80).model
    )
    model.load_state_dict(conversion.state_dict)
    first = 8 if kind == 'RetinaNet' else 4
    features = [torch.randn(1, 256, -(-128 // s), -(-96 // s)) for s in (first * 2**i for i in range(5))]
    sample = DetDataSample(
        metainfo=dict(img_shape=SHAPE, ori_shape=SHAPE, scale_factor=(1.0, 1.0), batch_input_shape=(128, 96))
    )
    return weights, model.eval(), features, [sample]


def assert_same_detections(results, expected):
    boxes, scores, labels = expected
    assert len(boxes) > 20
    assert len(labels.unique()) > 5
    assert results.labels.tolist() == labels.tolist()
    torch.testing.assert_close(results.scores, scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(results.bboxes, boxes + EDGE, rtol=1e-4, atol=1e-2)


@torch.no_grad()
def test_converted_mask_rcnn__gives_the_detections_of_mmdet1():
    weights, model, features, samples = converted('Mask R-CNN')
    model.rpn_head.test_cfg.max_per_img = 200
    boxes, scores, labels = reference.rcnn(weights, features, SHAPE, count=200)
    proposals = model.rpn_head.predict(features, samples, rescale=False)
    found = model.roi_head.predict_bbox(
        features, [samples[0].metainfo], proposals, model.roi_head.test_cfg, rescale=False
    )[0]
    assert_same_detections(found, (boxes, scores, labels))
    rois = torch.cat([torch.zeros(len(found), 1), found.bboxes], 1)
    masks = model.roi_head._mask_forward(features, rois)['mask_preds']
    expected = reference.mask_logits(weights, features, boxes, labels)
    torch.testing.assert_close(masks[torch.arange(len(found)), found.labels], expected, rtol=1e-3, atol=1e-2)


@torch.no_grad()
def test_converted_retinanet__gives_the_detections_of_mmdet1():
    weights, model, features, samples = converted('RetinaNet')
    found = model.bbox_head.predict(features, samples, rescale=False)[0]
    assert_same_detections(found, reference.retinanet(weights, features, SHAPE))
