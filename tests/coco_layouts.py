"""Write a tiny dataset in the folder layouts of COCO, Roboflow and annotation tools."""

import json

import cv2
import numpy as np

NAMES = ('RBC', 'WBC', 'Platelets')


def coco_content(file_names, size=(48, 40), with_masks=False):
    """Create a COCO content with one object per image; classes take turns."""
    width, height = size
    items = [
        dict(
            id=number,
            image_id=number,
            category_id=(number - 1) % 3 + 1,
            bbox=[4, 6, 20, 10],
            area=200,
            iscrowd=0,
            segmentation=[[4, 6, 24, 6, 24, 16, 4, 16]] if with_masks else [],
        )
        for number in range(1, len(file_names) + 1)
    ]
    return dict(
        images=[
            dict(id=number, file_name=name, width=width, height=height)
            for number, name in enumerate(file_names, 1)
        ],
        annotations=items,
        categories=[dict(id=label, name=name) for label, name in enumerate(NAMES, 1)],
    )


def write_images(folder, names, size=(48, 40)):
    """Write grey images, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 90, np.uint8))
    return list(names)


def write_split(ann_file, images, names, prefix='', edit=None, with_masks=False):
    """Write the images and the annotation file of a split."""
    write_images(images, names)
    content = coco_content([prefix + name for name in names], with_masks=with_masks)
    if edit:
        edit(content)
    ann_file.parent.mkdir(parents=True, exist_ok=True)
    ann_file.write_text(json.dumps(content), encoding='utf-8')


TRAIN, VAL = ('1.jpg', '2.jpg', '3.jpg'), ('1.jpg', '5.jpg', '6.jpg')
"""File names of the splits. One name is in both, for another image."""


def as_coco(root, with_masks=False):
    write_split(
        root / 'annotations/instances_train2017.json', root / 'train2017', TRAIN, with_masks=with_masks
    )
    write_split(root / 'annotations/instances_val2017.json', root / 'val2017', VAL, with_masks=with_masks)
    (root / 'annotations/captions_val2017.json').write_text('{}')
    (root / 'annotations/person_keypoints_val2017.json').write_text('{}')
    return root


def add_supercategory(content, name='cells'):
    """Add what Roboflow lists as the first category, and number annotations from 0."""
    for category in content['categories']:
        category['supercategory'] = name
    content['categories'].insert(0, dict(id=0, name=name, supercategory='none'))
    for number, item in enumerate(content['annotations']):
        item['id'] = number


def as_roboflow(root):
    for folder, names in (('train', TRAIN), ('valid', VAL), ('test', VAL)):
        write_split(root / folder / '_annotations.coco.json', root / folder, names, edit=add_supercategory)
    return root


def as_plain(root, images='images'):
    write_split(root / 'train.json', root / images, TRAIN)
    write_split(root / 'val.json', root / images, ('5.jpg', '6.jpg', '7.jpg'))
    return root
