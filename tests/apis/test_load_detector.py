"""Settings that a checkpoint may contain. Loading is tested together with the conversion."""

import mmdet1_reference as reference
import pytest
import torch

from eca_mmdet import load_detector
from eca_mmdet.checkpoints import convert_file, write_checkpoint
from eca_mmdet.mmdet1_boxes import Legacy1xAnchorGenerator

GOOD = dict(config='faster_rcnn_ecanet50_fpn_1x.py', eca_kernel_sizes=[3, 3, 5, 7], num_classes=2)


def file_with(path, **meta):
    write_checkpoint(dict(state_dict=dict(w=torch.zeros(1)), meta=meta), path)
    return path


@pytest.mark.parametrize(
    ('detector', 'message'),
    [
        (None, 'not a whole detector. Load a backbone with eca_mmdet.load_backbone'),
        ('x', 'its metadata does not describe the detector; convert the original file again'),
        ({**GOOD, 'type': 'os.system'}, 'its metadata does not describe the detector'),
        ({**GOOD, 'config': '../../evil.py'}, "no config of eca_mmdet for whole detectors: '../../evil.py'"),
        ({**GOOD, 'config': ['x']}, 'no config of eca_mmdet'),
        ({**GOOD, 'config': 'mask_rcnn_ecanet18_fpn_shapes.py'}, 'no config of eca_mmdet'),
        ({**GOOD, 'eca_kernel_sizes': [3, 3, 5]}, '4 odd integers, one per stage'),
        ({**GOOD, 'eca_kernel_sizes': [3, 3, 5, 4]}, '4 odd integers, one per stage'),
        ({**GOOD, 'eca_kernel_sizes': dict(type='x')}, '4 odd integers, one per stage'),
        ({**GOOD, 'eca_kernel_sizes': [3, 3, 5, 10**9 + 1]}, '4 odd integers, one per stage'),
        ({**GOOD, 'num_classes': 10**12}, 'number of classes must be a positive integer'),
        ({**GOOD, 'num_classes': True}, 'number of classes must be a positive integer'),
    ],
)
def test_load__accepts_only_known_settings(tmp_path, detector, message):
    meta = {} if detector is None else dict(detector=detector)
    with pytest.raises(ValueError, match=message):
        load_detector(file_with(tmp_path / 'a.pth', **meta))


@pytest.mark.parametrize('classes', ['ab', [1, 2], ['only one']])
def test_load__checks_the_class_names(tmp_path, classes):
    path = file_with(tmp_path / 'a.pth', detector=GOOD, dataset_meta=dict(classes=classes))
    with pytest.raises(ValueError, match='class'):
        load_detector(path)


def test_load__is_strict(tmp_path):
    path = file_with(tmp_path / 'a.pth', detector=GOOD)
    with pytest.raises(RuntimeError, match='Missing key'):
        load_detector(path)


def test_load__reports_a_missing_file():
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        load_detector('nothing.pth')


def test_load__accepts_files_that_were_not_converted(tmp_path):
    weights = reference.detector_1x('RetinaNet', classes=2)
    path = tmp_path / 'old.pth'
    write_checkpoint(dict(state_dict={f'module.{k}': v for k, v in weights.items()}), path)
    with pytest.raises(ValueError, match=r'old.pth: a RetinaNet .* --source detector-1.x'):
        load_detector(path)
    with pytest.raises(ValueError, match="source='1.x': allowed are detector-1.x, detector-2.x"):
        load_detector(path, source='1.x')
    detector = load_detector(path, source='detector-1.x')
    assert isinstance(detector.bbox_head.prior_generator, Legacy1xAnchorGenerator)
    assert detector.dataset_meta['classes'] == ('class 0', 'class 1')
    ours = detector.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in weights.items())


def test_load__uses_coco_classes_for_80_unnamed_classes(tmp_path):
    weights = reference.detector_1x('Faster R-CNN')
    write_checkpoint(dict(state_dict=weights), tmp_path / 'old.pth')
    report = convert_file(tmp_path / 'old.pth', tmp_path / 'new.pth')
    assert 'classes   80, without names' in report
    detector = load_detector(tmp_path / 'new.pth')
    assert detector.dataset_meta['classes'][:2] == ('person', 'bicycle')
    assert not detector.training
    assert detector.backbone.eca_kernel_sizes == (5, 5, 5, 5)
    torch.testing.assert_close(
        detector.roi_head.bbox_head.fc_cls.bias[:80], weights['bbox_head.fc_cls.bias'][1:]
    )
