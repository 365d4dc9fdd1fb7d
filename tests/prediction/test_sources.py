"""Images are read from paths, arrays, PIL images, folders, patterns and videos."""

import cv2
import numpy as np
import pytest
from PIL import Image

from eca_mmdet.prediction.sources import (
    SourceImage,
    UnreadableImage,
    is_stream,
    list_images,
    read_image,
    stream,
)

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.png', 'übung 1.png'):
        (tmp_path / name).write_bytes(cv2.imencode('.png', PIXELS)[1].tobytes())
    (tmp_path / 'notes.txt').write_text('no image')
    return tmp_path


def test_path_array_and_pil_image__give_equal_pixels(folder):
    for source in (folder / 'a.png', str(folder / 'übung 1.png'), PIXELS, Image.fromarray(PIXELS[..., ::-1])):
        np.testing.assert_array_equal(read_image(source).pixels, PIXELS)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'CMYK', 'I;16', '1', 'P'])
def test_other_pixel_formats__become_bgr(mode, tmp_path):
    image = Image.fromarray(PIXELS[..., 0].astype(np.uint16)) if mode == 'I;16' else Image.new(mode, (30, 20))
    image.save(tmp_path / ('x.jpg' if mode == 'CMYK' else 'x.png'))
    pixels = read_image(next(tmp_path.iterdir())).pixels
    assert (pixels.shape, pixels.dtype) == ((20, 30, 3), np.uint8)


def test_gray_array__becomes_bgr():
    assert read_image(PIXELS[..., 0]).pixels.shape == (20, 30, 3)


@pytest.mark.parametrize(
    'array', [PIXELS / 255, PIXELS[..., :2], PIXELS[None], PIXELS[:0], PIXELS.astype(int)]
)
def test_other_arrays__are_refused_with_their_shape_and_type(array):
    with pytest.raises(ValueError, match=r'an array must be .* got \(.*\) of type'):
        read_image(array)


def test_other_objects__are_refused():
    with pytest.raises(TypeError, match='cannot predict on int'):
        read_image(3)
    with pytest.raises(FileNotFoundError, match='no such image'):
        read_image('missing.jpg')


@pytest.mark.parametrize('content', [b'', b'text', b'\x89PNG\r\n\x1a\n' + bytes(50)])
def test_damaged_file__raises_an_error_with_its_path(tmp_path, content):
    (tmp_path / 'x.png').write_bytes(content)
    with pytest.raises(UnreadableImage, match=r'x\.png is not an image or is damaged'):
        read_image(tmp_path / 'x.png')


def test_folder_and_pattern__are_streams_in_the_order_of_names(folder):
    assert is_stream(folder)
    assert not is_stream(folder / 'a.png')
    names = [image.path.split('/')[-1] for image in stream(folder)]
    assert names == ['a.png', 'b.png', 'übung 1.png']
    assert [image.path for image in stream(f'{folder}/?.png')] == [f'{folder}/{name}.png' for name in 'ab']
    with pytest.raises(FileNotFoundError, match='contains no images'):
        list_images(folder / 'none*')


def test_stream__goes_on_after_a_damaged_file(folder):
    (folder / 'b.png').write_bytes(b'text')
    assert [type(image) for image in stream(folder)] == [SourceImage, UnreadableImage, SourceImage]


def test_video__gives_its_frames(tmp_path):
    path = tmp_path / 'x.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (30, 20))
    for value in (0, 100, 200):
        writer.write(np.full((20, 30, 3), value, np.uint8))
    writer.release()
    frames = list(stream(path))
    assert [frame.path[-7:] for frame in frames] == ['#000001', '#000002', '#000003']
    assert [round(frame.pixels.mean(), -2) for frame in frames] == [0, 100, 200]
    path.write_bytes(b'no video')
    with pytest.raises(UnreadableImage, match='cannot be opened as a video'):
        list(stream(path))
