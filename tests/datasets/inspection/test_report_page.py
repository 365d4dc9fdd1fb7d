"""The report as a page and as JSON."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from seeded_faults import ERRORS, WARNINGS

from eca_mmdet.datasets.inspection import inspect_dataset, write_report

pytest.importorskip('supervision')


def pictures(page):
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1) for data in found]


def test_page__shows_samples_counts_and_findings_without_other_files(data, tmp_path):
    WARNINGS['box partly outside'][0](data)
    ERRORS['missing image'][0](data)
    report = inspect_dataset(data)
    page = write_report(report, tmp_path / 'report', samples=6).read_text()
    assert [picture.shape for picture in pictures(page)] == [(480, 480, 3)] * 6
    assert 'src="data:' in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    for text in ('annotations whose bbox extends beyond the image', 'images not found', 'triangle', 'circle'):
        assert text in page
    assert sorted(path.name for path in (tmp_path / 'report').iterdir()) == ['index.html', 'report.json']


def test_drawing__marks_the_box_of_an_annotation(shapes, tmp_path):
    page = write_report(inspect_dataset(shapes), tmp_path, samples=2).read_text()
    caption = re.search(r'<figcaption>train: (\d+\.jpg)', page).group(1)
    original = cv2.resize(cv2.imread(str(shapes / 'train2017' / caption)), (480, 480))
    difference = np.abs(pictures(page)[0].astype(int) - original).max(axis=2) > 60
    content = json.loads((shapes / 'annotations/instances_train2017.json').read_text())
    key = next(image['id'] for image in content['images'] if image['file_name'] == caption)
    inside = np.zeros((480, 480), bool)
    for item in content['annotations']:
        if item['image_id'] == key:
            x, y, w, h = (round(value * 480 / 64) for value in item['bbox'])
            inside[max(y - 24, 0) : y + h + 24, max(x - 4, 0) : x + w + 120] = True
    assert difference[inside].mean() > 0.02
    assert difference[~inside].mean() < 0.01


def test_images_with_findings__come_first(data, tmp_path):
    WARNINGS['mask elsewhere'][0](data)
    page = write_report(inspect_dataset(data), tmp_path, samples=4).read_text()
    first = page.split('<figure>')[1]
    assert 'train: 000001.jpg' in first
    assert '<b>masks that are not inside their bbox</b>' in first


def test_json__has_every_finding(data, tmp_path):
    WARNINGS['id 0'][0](data)
    write_report(inspect_dataset(data), tmp_path, samples=0)
    content = json.loads((tmp_path / 'report.json').read_text())
    assert content['is_usable'] is True
    (found,) = [item for item in content['findings'] if item['severity'] == 'warning']
    assert (found['source'], found['kind'], found['count']) == ('train', 'annotations with the id 0', 1)
    assert [part['images'] for part in content['sources']] == [8, 4]


def test_names_in_the_data__are_escaped(data, tmp_path):
    path = data / 'annotations/instances_train2017.json'
    path.write_text(path.read_text().replace('"circle"', '"<script>circle"'))
    page = write_report(inspect_dataset(data, reads_images=False), tmp_path, samples=2).read_text()
    assert '<script>' not in page
    assert '&lt;script&gt;circle' in page
