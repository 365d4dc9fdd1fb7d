"""Faults to seed into a copy of the shapes dataset: what is changed, and the kind of finding it must give."""

import shutil

import cv2
import numpy as np
from PIL import Image
from tiny_coco import change

NAN = float('nan')
NAME = 'train2017/000001.jpg'


def annotations(edit):
    """Edit the annotation file of train."""
    return lambda data: change(data, 'train', edit)


def annotation(**fields):
    """Set fields of the first annotation. A field that is ``None`` is deleted."""

    def edit(content):
        content['annotations'][0].update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del content['annotations'][0][name]

    return annotations(edit)


def every_box(convert):
    """Convert all boxes of train."""

    def edit(content):
        for item in content['annotations']:
            item['bbox'] = convert(*item['bbox'])

    return annotations(edit)


def copy_of(kind, **fields):
    """Append a copy of the first record with other fields."""
    return annotations(lambda content: content[kind].append({**content[kind][0], **fields}))


def crowds_only(content):
    for item in content['annotations']:
        item['iscrowd'] = 1


def whole_file(text):
    return lambda data: (data / 'annotations/instances_train2017.json').write_text(text)


def image_bytes(edit):
    """Change the bytes of an image file."""

    def apply(data):
        path = data / NAME
        path.write_bytes(edit(path.read_bytes()))

    return apply


def image(edit, **options):
    """Save an image in another way, under its name."""

    def apply(data):
        with Image.open(data / NAME) as opened:
            edit(opened.copy()).save(data / NAME, **options)

    return apply


def sixteen_bit(data):
    encoded = cv2.imencode('.png', np.full((64, 64, 3), 2000, np.uint16))[1]
    (data / NAME).write_bytes(encoded.tobytes())


def turned_by_exif(data):
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(data / NAME) as opened:
        opened.crop((0, 0, 64, 48)).save(data / NAME, exif=exif)
    change(data, 'train', lambda content: content['images'][0].update(width=64, height=48))


def swapped(data):
    image(lambda opened: opened.crop((0, 0, 64, 48)))(data)
    change(data, 'train', lambda content: content['images'][0].update(width=48, height=64))


def translucent(opened):
    opened = opened.convert('RGBA')
    opened.putalpha(100)
    return opened


def identical(data):
    shutil.copy(data / NAME, data / 'val2017/000001.jpg')


def recompressed(data):
    with Image.open(data / NAME) as opened:
        opened.resize((48, 48)).resize((64, 64)).save(data / 'val2017/000001.jpg', quality=60)


RLE_OF_OTHER_SIZE = dict(size=[32, 64], counts=[2048])
DAMAGED_RLE = dict(size=[64, 64], counts=[100, 7])
EMPTY_RLE = dict(size=[64, 64], counts=[4096])
ERRORS = {
    'broken JSON': (whole_file('{"images": ['), 'files that are not valid JSON'),
    'list instead of dict': (whole_file('[]'), 'files that are not in COCO format'),
    'no categories': (annotations(lambda c: c.pop('categories')), 'files that are not in COCO format'),
    'no annotations': (annotations(lambda c: c.pop('annotations')), 'files without usable annotations'),
    'only crowds': (annotations(crowds_only), 'files without usable annotations'),
    'no image_id': (annotation(image_id=None), 'annotations without image_id'),
    'no bbox': (annotation(bbox=None), 'annotations without bbox'),
    'no area': (annotation(area=None), 'annotations without area'),
    'no iscrowd': (annotation(iscrowd=None), 'annotations without iscrowd'),
    'no width': (annotations(lambda c: c['images'][0].pop('width')), 'images without width'),
    'no file_name': (annotations(lambda c: c['images'][0].pop('file_name')), 'images without file_name'),
    'size 0': (
        annotations(lambda c: c['images'][0].update(width=0)),
        'images whose height or width is not a positive number',
    ),
    'missing image': (lambda data: (data / NAME).unlink(), 'images not found'),
    'empty image': (image_bytes(lambda data: b''), 'images whose file is empty'),
    'truncated image': (
        image_bytes(lambda data: data[: len(data) // 2]),
        'images that are truncated or damaged',
    ),
    'text as image': (
        image_bytes(lambda data: b'<html>not found</html>'),
        'images whose file is not an image',
    ),
    'other size': (image(lambda i: i.resize((32, 32))), 'images whose size differs from the annotation file'),
    'swapped size': (swapped, 'images whose width and height are swapped'),
    'EXIF': (turned_by_exif, 'images that are turned by their EXIF orientation'),
    'NaN in box': (annotation(bbox=[NAN, 1, 5, 5]), 'annotations whose bbox is not finite'),
    'three numbers': (annotation(bbox=[1, 2, 3]), 'annotations whose bbox is not [x, y, width, height]'),
    'text in box': (
        annotation(bbox=['1', '2', '3', '4']),
        'annotations whose bbox is not [x, y, width, height]',
    ),
    'boxes of fractions': (
        every_box(lambda x, y, w, h: [x / 64, y / 64, w / 64, h / 64]),
        'annotations whose bbox looks like fractions of the image',
    ),
    'boxes of corners': (
        every_box(lambda x, y, w, h: [x, y, x + w, y + h]),
        'annotations whose bbox looks like [x1, y1, x2, y2]',
    ),
    'text in polygon': (
        annotation(segmentation=[[1, 1, 9, 1, 9, 'a']]),
        'annotations whose segmentation has a coordinate that is not a number',
    ),
    'NaN in polygon': (
        annotation(segmentation=[[1, 1, 9, 1, 9, NAN]]),
        'annotations whose segmentation has a coordinate that is not finite',
    ),
    'flat polygon': (
        annotation(segmentation=[1, 1, 9, 1, 9, 9]),
        'annotations whose segmentation is not a list of polygons [[x1, y1, x2, y2, ...]]',
    ),
    'RLE of another size': (
        annotation(segmentation=RLE_OF_OTHER_SIZE),
        'annotations whose segmentation does not have the size of its image',
    ),
    'damaged RLE': (
        annotation(segmentation=DAMAGED_RLE),
        'annotations whose segmentation has counts that do not add up to its size',
    ),
    'mask as text': (
        annotation(segmentation='mask.png'),
        'annotations whose segmentation is neither polygons nor run lengths',
    ),
    'duplicate image id': (copy_of('images', file_name='000002.jpg'), 'images with a duplicate id'),
    'duplicate annotation id': (copy_of('annotations', bbox=[1, 1, 5, 5]), 'annotations with a duplicate id'),
    'duplicate category id': (copy_of('categories', name='other'), 'categories with a duplicate id'),
    'duplicate category name': (copy_of('categories', id=99), 'categories with the same name'),
}
WARNINGS = {
    'box outside': (annotation(bbox=[70, 70, 5, 5]), 'annotations whose bbox is outside the image'),
    'box partly outside': (
        annotation(bbox=[50, 20, 20, 20]),
        'annotations whose bbox extends beyond the image',
    ),
    'box without area': (annotation(bbox=[5, 5, 0, 9]), 'annotations whose bbox has no area'),
    'tiny box': (annotation(bbox=[5, 5, 0.5, 9]), 'annotations whose bbox is below one pixel'),
    'negative width': (
        annotation(bbox=[20, 5, -9, 9]),
        'annotations whose bbox has a negative width or height',
    ),
    'area 0': (annotation(area=0), 'annotations whose area is not positive'),
    'two points': (
        annotation(segmentation=[[1, 1, 9, 1, 9, 9], [1, 1, 9, 9]]),
        'polygons with fewer than three points',
    ),
    'odd polygon': (
        annotation(segmentation=[[1, 1, 9, 1, 9, 9], [1, 1, 9, 1, 9]]),
        'polygons with an odd number of coordinates',
    ),
    'polygon outside': (
        annotation(segmentation=[[1, 1, 99, 1, 99, 9]]),
        'masks that extend beyond the image',
    ),
    'mask elsewhere': (
        annotation(bbox=[1, 1, 20, 20], segmentation=[[40, 40, 60, 40, 60, 60]]),
        'masks that are not inside their bbox',
    ),
    'empty RLE': (annotation(segmentation=EMPTY_RLE), 'masks without pixels'),
    'unknown category': (annotation(category_id=42), 'annotations whose category_id is not in categories'),
    'unknown image': (annotation(image_id=4242), 'annotations whose image_id is not in images'),
    'id 0': (annotation(id=0), 'annotations with the id 0'),
    'duplicate file name': (copy_of('images', id=4242), 'images with the same file_name'),
    'duplicate annotation': (
        copy_of('annotations', id=4242),
        'annotations with the same image, category and bbox',
    ),
    '16 bits': (sixteen_bit, 'images with more than 8 bits per channel'),
    'CMYK': (image(lambda i: i.convert('CMYK')), 'images with CMYK colors'),
    'transparency': (image(translucent, format='PNG'), 'images with transparent pixels'),
    'same image in val': (identical, 'images that are in train and in val'),
    'near-duplicate in val': (recompressed, 'images of val that look like an image of train'),
}
NOTES = {
    'unused category': (copy_of('categories', id=99, name='star'), 'categories without annotations'),
    'image without objects': (
        annotations(lambda c: c.update(annotations=[i for i in c['annotations'] if i['image_id'] != 1])),
        'images without objects',
    ),
    'crowd': (annotation(iscrowd=1), 'annotations of crowds'),
}
HARMLESS = {
    'grey image': image(lambda i: i.convert('L')),
    'opaque alpha': image(lambda i: i.convert('RGBA'), format='PNG'),
    'palette': image(lambda i: i.convert('P'), format='PNG'),
    'WebP': image(lambda i: i, format='WEBP'),
    'box to the border': annotation(bbox=[-0.5, 0, 64.9, 64], segmentation=[[0, 0, 64, 0, 64, 64]]),
    'empty segmentation everywhere': annotations(
        lambda c: [item.update(segmentation=[]) for item in c['annotations']]
    ),
}
