"""Count the objects of a dataset by class and by size."""

from collections import Counter, defaultdict
from typing import Any, Dict, List

from ..fault_report import NOTE, FaultReport, Kind
from ..suspicious_records import is_box

SIZES = {'small': 32**2, 'medium': 96**2, 'large': float('inf')}
"""Upper limit of the area of each size in square pixels, as in COCO's AP."""
CROWDS = Kind('annotations of crowds', NOTE, 'detections inside are ignored')
NO_OBJECTS = Kind('images without objects', NOTE, 'most configs leave them out of the training')
UNUSED = Kind('categories without annotations', NOTE, 'they are not learned')


def count_objects(content: dict) -> Dict[str, Any]:
    """Count images and objects. Objects are annotations that are no crowds.

    Args:
        content: The content of an annotation file, without faulty records.

    Returns:
        Numbers of images, objects, crowds and images without objects, the range of the image sizes, and
        the objects of each class by size.
    """
    names = {category['id']: category['name'] for category in content['categories']}
    classes: Dict[str, Counter] = {name: Counter() for name in names.values()}
    objects = Counter({image['id']: 0 for image in content['images']})
    crowds = 0
    for annotation in content['annotations']:
        if annotation['category_id'] not in names or annotation['image_id'] not in objects:
            continue
        if annotation.get('iscrowd'):
            crowds += 1
            continue
        objects[annotation['image_id']] += 1
        classes[names[annotation['category_id']]][_size_name(annotation)] += 1
    widths = [image['width'] for image in content['images']]
    heights = [image['height'] for image in content['images']]
    return dict(
        images=len(content['images']),
        objects=sum(objects.values()),
        crowds=crowds,
        images_without_objects=sum(count == 0 for count in objects.values()),
        most_objects_in_an_image=max(objects.values(), default=0),
        smallest_image=[min(widths, default=0), min(heights, default=0)],
        largest_image=[max(widths, default=0), max(heights, default=0)],
        classes={name: {size: count[size] for size in SIZES} for name, count in classes.items()},
    )


def _size_name(annotation: dict) -> str:
    area = annotation.get('area')
    if not isinstance(area, (int, float)):
        area = annotation['bbox'][2] * annotation['bbox'][3] if is_box(annotation.get('bbox')) else 0
    return next(name for name, limit in SIZES.items() if area < limit)


def find_notes(content: dict, faults: FaultReport) -> None:
    """Note crowds, images without objects and categories without annotations, which are no faults."""
    annotated: Dict[str, set] = defaultdict(set)
    crowds: List[dict] = []
    for annotation in content['annotations']:
        annotated['category'].add(annotation['category_id'])
        if annotation.get('iscrowd'):
            crowds.append(annotation)
        else:
            annotated['image'].add(annotation['image_id'])
    faults.add_all(CROWDS, crowds)
    faults.add_all(NO_OBJECTS, (item for item in content['images'] if item['id'] not in annotated['image']))
    unused = (item for item in content['categories'] if item['id'] not in annotated['category'])
    faults.add_all(UNUSED, (f'{item["name"]!r} (id {item["id"]})' for item in unused))
