"""Reference implementation of the detection heads of mmdet 1.x in plain PyTorch.

Boxes are given by their first and last pixel, and class 0 is the background. Weights have the names of mmdet
1.x. The implementation follows the sources of mmdet 1.x and shares no code with the package, mmdet or mmcv.
"""

import math

import torch
import torch.nn.functional as F
from reference import official_state_dict

SIZES = {
    ('Faster R-CNN', 50): (5, 5, 5, 5),
    ('Faster R-CNN', 101): (3, 3, 5, 7),
    ('Mask R-CNN', 50): (3, 3, 7, 7),
    ('Mask R-CNN', 101): (3, 3, 5, 7),
    ('RetinaNet', 50): (3, 3, 7, 7),
    ('RetinaNet', 101): (3, 3, 5, 7),
}
"""ECA kernel sizes of the released detectors."""


def detector_1x(kind, depth=50, classes=80, backbone=True):
    """Create random weights with the names of mmdet 1.x and ``classes + 1`` outputs per RoI."""
    w = {}
    if backbone:
        w = official_state_dict(depth, SIZES[kind, depth], prefix='backbone.')
        w = {key: value for key, value in w.items() if '.fc.' not in key}

    def layer(name, *shape, bias=None, scale=1.0):
        fan = math.prod(shape[1:])
        w[f'{name}.weight'] = torch.randn(shape) * (2 / fan) ** 0.5 * scale
        w[f'{name}.bias'] = torch.randn(bias or shape[0]) * scale

    start = 1 if kind == 'RetinaNet' else 0
    inner = [256, 512, 1024, 2048][start:]
    for i, channels in enumerate(inner):
        layer(f'neck.lateral_convs.{i}.conv', 256, channels, 1, 1)
        layer(f'neck.fpn_convs.{i}.conv', 256, 256, 3, 3)
    if kind == 'RetinaNet':
        layer('neck.fpn_convs.3.conv', 256, 2048, 3, 3)
        layer('neck.fpn_convs.4.conv', 256, 256, 3, 3)
        for i in range(4):
            layer(f'bbox_head.cls_convs.{i}.conv', 256, 256, 3, 3)
            layer(f'bbox_head.reg_convs.{i}.conv', 256, 256, 3, 3)
        layer('bbox_head.retina_cls', 9 * classes, 256, 3, 3)
        layer('bbox_head.retina_reg', 36, 256, 3, 3, scale=0.3)
        w['bbox_head.retina_cls.bias'] -= 6
        return w
    layer('rpn_head.rpn_conv', 256, 256, 3, 3)
    layer('rpn_head.rpn_cls', 3, 256, 1, 1)
    layer('rpn_head.rpn_reg', 12, 256, 1, 1, scale=0.3)
    layer('bbox_head.fc_cls', classes + 1, 1024, scale=2)
    layer('bbox_head.fc_reg', 4 * (classes + 1), 1024)
    layer('bbox_head.shared_fcs.0', 1024, 256 * 49)
    layer('bbox_head.shared_fcs.1', 1024, 1024)
    if kind == 'Mask R-CNN':
        for i in range(4):
            layer(f'mask_head.convs.{i}.conv', 256, 256, 3, 3)
        layer('mask_head.upsample', 256, 256, 2, 2)
        layer('mask_head.conv_logits', classes + 1, 256, 1, 1)
    return w


def anchors(stride, shape, ratios, scales):
    """Generate the rounded anchors of a level."""
    boxes = []
    middle = (stride - 1) / 2
    for ratio in ratios:
        for scale in scales:
            w, h = stride / math.sqrt(ratio) * scale, stride * math.sqrt(ratio) * scale
            corners = [-(w - 1) / 2, -(h - 1) / 2, (w - 1) / 2, (h - 1) / 2]
            boxes.append([middle + corner for corner in corners])
    base = torch.tensor(boxes).round()
    rows, columns = shape
    return torch.cat(
        [
            base + stride * torch.tensor([x, y, x, y], dtype=torch.float)
            for y in range(rows)
            for x in range(columns)
        ]
    )


def decode(boxes, deltas, stds, shape=None):
    """Decode deltas (N, 4). A box of width w covers the pixels x to x + w - 1."""
    dx, dy, dw, dh = (deltas * torch.tensor(stds)).unbind(1)
    limit = abs(math.log(16 / 1000))
    x1, y1, x2, y2 = boxes.unbind(1)
    w, h = x2 - x1 + 1, y2 - y1 + 1
    x, y = (x1 + x2) / 2 + w * dx, (y1 + y2) / 2 + h * dy
    w, h = w * dw.clamp(-limit, limit).exp(), h * dh.clamp(-limit, limit).exp()
    out = torch.stack([x - w / 2 + 0.5, y - h / 2 + 0.5, x + w / 2 - 0.5, y + h / 2 - 0.5], 1)
    if shape is not None:
        out[:, 0::2] = out[:, 0::2].clamp(0, shape[1] - 1)
        out[:, 1::2] = out[:, 1::2].clamp(0, shape[0] - 1)
    return out


def nms(boxes, scores, threshold):
    """Return the indices that NMS keeps, best first. Areas are numbers of pixels."""
    order, kept = scores.argsort(descending=True), []
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        overlap = (high - low + 1).clamp(min=0).prod(1)
        order = order[overlap / (areas[best] + areas[order] - overlap) <= threshold]
    return torch.tensor(kept, dtype=torch.long)


def roi_align(feature, box, stride, size, samples=2):
    """Pool a feature map (C, H, W) to (C, size, size) with two samples per bin and axis."""
    points = []
    for first, last, length in ((box[1], box[3], feature.shape[1]), (box[0], box[2], feature.shape[2])):
        start, end = first / stride, (last + 1) / stride
        steps = (torch.arange(size * samples) + 0.5) / samples
        position = start + (end - start).clamp(min=0) / size * steps
        inside = ((position >= -1) & (position <= length)).float()
        position = position.clamp(0, length - 1)
        low = position.floor().long()
        points.append((low, (low + 1).clamp(max=length - 1), position - low, inside))
    (y0, y1, fy, in_y), (x0, x1, fx, in_x) = points
    rows = feature[:, y0] * (1 - fy)[:, None] + feature[:, y1] * fy[:, None]
    grid = (rows[:, :, x0] * (1 - fx) + rows[:, :, x1] * fx) * in_y[:, None] * in_x
    return F.avg_pool2d(grid[None], samples)[0]


def roi_features(features, boxes, size):
    """Pool the features of each box from the pyramid level that matches the root of its area."""
    out = []
    for box in boxes:
        scale = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1)).sqrt()
        level = int((scale / 56 + 1e-6).log2().floor().clamp(0, 3))
        out.append(roi_align(features[level][0], box, 4 * 2**level, size))
    return torch.stack(out)


def conv(w, name, x, padding=1):
    return F.conv2d(x, w[f'{name}.weight'], w[f'{name}.bias'], padding=padding)


def flatten_anchors(x, size):
    """Reshape (1, A * size, H, W) to (H * W * A, size)."""
    return x[0].permute(1, 2, 0).reshape(-1, size)


def proposals(w, features, shape, count):
    """Run the RPN: NMS of the best 1000 anchors of each level, then the best proposals of all levels."""
    boxes, scores = [], []
    for level, feature in enumerate(features):
        hidden = conv(w, 'rpn_head.rpn_conv', feature).relu()
        score = flatten_anchors(conv(w, 'rpn_head.rpn_cls', hidden, 0), 1)[:, 0].sigmoid()
        delta = flatten_anchors(conv(w, 'rpn_head.rpn_reg', hidden, 0), 4)
        grid = anchors(4 * 2**level, feature.shape[-2:], (0.5, 1, 2), (8,))
        best = score.argsort(descending=True)[:1000]
        box, score = decode(grid[best], delta[best], (1.0,) * 4, shape), score[best]
        kept = nms(box, score, 0.7)
        boxes.append(box[kept])
        scores.append(score[kept])
    best = torch.cat(scores).argsort(descending=True)[:count]
    return torch.cat(boxes)[best]


def best_per_class(boxes, scores, count=100):
    """Run NMS for each class of (N, C, 4) boxes and (N, C) scores. Label 0 is the first class."""
    found = []
    for label in range(scores.shape[1]):
        chosen = scores[:, label] > 0.05
        box, score = boxes[chosen, label], scores[chosen, label]
        for i in nms(box, score, 0.5):
            found.append((float(score[i]), label, box[i]))
    found = sorted(found, key=lambda item: -item[0])[:count]
    score, label, box = zip(*found)
    return torch.stack(box), torch.tensor(score), torch.tensor(label)


def rcnn(w, features, shape, count):
    """Return boxes, scores and labels of the RoI head."""
    rois = proposals(w, features, shape, count)
    x = roi_features(features, rois, 7).flatten(1)
    for i in range(2):
        x = F.linear(x, w[f'bbox_head.shared_fcs.{i}.weight'], w[f'bbox_head.shared_fcs.{i}.bias']).relu()
    scores = F.linear(x, w['bbox_head.fc_cls.weight'], w['bbox_head.fc_cls.bias']).softmax(1)
    deltas = F.linear(x, w['bbox_head.fc_reg.weight'], w['bbox_head.fc_reg.bias']).unflatten(1, (-1, 4))
    boxes = [decode(rois, deltas[:, c], (0.1, 0.1, 0.2, 0.2), shape) for c in range(1, scores.shape[1])]
    return best_per_class(torch.stack(boxes, 1), scores[:, 1:])


def mask_logits(w, features, boxes, labels):
    """Return the mask logits (N, 28, 28) of each box for its label, where label 0 is the first class."""
    x = roi_features(features, boxes, 14)
    for i in range(4):
        x = conv(w, f'mask_head.convs.{i}.conv', x).relu()
    x = F.conv_transpose2d(x, w['mask_head.upsample.weight'], w['mask_head.upsample.bias'], stride=2).relu()
    return conv(w, 'mask_head.conv_logits', x, 0)[torch.arange(len(labels)), labels + 1]


def retinanet(w, features, shape):
    """Return boxes, scores and labels of RetinaNet, which has no output for the background."""
    boxes, scores = [], []
    for level, feature in enumerate(features):
        by_class = by_box = feature
        for i in range(4):
            by_class = conv(w, f'bbox_head.cls_convs.{i}.conv', by_class).relu()
            by_box = conv(w, f'bbox_head.reg_convs.{i}.conv', by_box).relu()
        logits = conv(w, 'bbox_head.retina_cls', by_class)
        score = flatten_anchors(logits, logits.shape[1] // 9).sigmoid()
        delta = flatten_anchors(conv(w, 'bbox_head.retina_reg', by_box), 4)
        octaves = [4 * 2 ** (i / 3) for i in range(3)]
        grid = anchors(8 * 2**level, feature.shape[-2:], (0.5, 1, 2), octaves)
        best = score.amax(1).argsort(descending=True)[:1000]
        boxes.append(decode(grid[best], delta[best], (1.0,) * 4, shape))
        scores.append(score[best])
    scores = torch.cat(scores)
    return best_per_class(torch.cat(boxes)[:, None].expand(-1, scores.shape[1], 4), scores)
