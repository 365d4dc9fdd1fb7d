"""An image is prepared with the pixels of the pipeline and the data preprocessor of the host library."""

import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop
from mmengine.dataset import pseudo_collate
from small_exports import CLASSES, detector, images

from eca_mmdet.export.config_preparation import preparation_of
from eca_mmdet.export.image_preparation import Preparation
from eca_mmdet.prediction.sources import read_image
from eca_mmdet.prediction.torch_model import TorchModel


@pytest.mark.parametrize('step', [dict(scale=(100, 70), keep_ratio=True), dict(scale=(100, 70)), None])
def test_input__equals_that_of_mmdet(step):
    cfg, model = detector('retinanet_ecanet18_fpn_1x')
    pipeline = cfg.test_dataloader.dataset.pipeline
    steps = [] if step is None else [dict(type='Resize', **step)]
    pack = {**pipeline[-1], 'meta_keys': ('img_shape',)}
    cfg.test_dataloader.dataset.pipeline = [pipeline[0], *steps, pack]
    reference, prepare = TorchModel(cfg, model, CLASSES), preparation_of(cfg, model.data_preprocessor)
    for pixels in images():
        data = pseudo_collate([reference._prepare(read_image(pixels))])
        expected = model.data_preprocessor(data)
        found, size = prepare(pixels)
        np.testing.assert_array_equal(found, expected['inputs'].numpy())
        assert size == expected['data_samples'][0].img_shape


@pytest.mark.parametrize('size', [(20, 30), (31, 45), (200, 10)])
def test_crop__equals_that_of_mmcv(size):
    pixels = images()[0]
    expected = CenterCrop(crop_size=size[::-1]).transform(dict(img=pixels))['img']
    found, _ = Preparation(crop=size, is_rgb=False)(pixels)
    np.testing.assert_array_equal(found[0].transpose(1, 2, 0), expected)


def test_short_edge__is_resized_and_the_other_follows():
    assert Preparation(short_edge=45)(images()[0])[1] == (45, 60)
    assert Preparation(short_edge=35)(images()[2])[1] == (75, 35)


def test_values__are_normalized_before_the_padding():
    prepare = Preparation(mean=(1, 2, 3), std=(2, 2, 2), pad_divisor=4, pad_value=7)
    found, size = prepare(np.full((3, 3, 3), 5, np.uint8))
    assert size == (3, 3)
    assert found.shape == (1, 3, 4, 4)
    np.testing.assert_array_equal(found[0, :, 0, 0], [2, 1.5, 1])
    assert (found[0, :, 3] == 7).all()
    assert torch.from_numpy(found).dtype == torch.float32
