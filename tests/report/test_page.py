"""The page of a report."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report_runs import train_record, write_run, write_training

from eca_mmdet.report import Confusion, Curves, EvaluationDetails, Example, read_runs, write_evaluation
from eca_mmdet.report.page import render, write_report


class Page(HTMLParser):
    """Collect the sources, the links and the text of a page, and check that all tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.open, self.words = [], [], [], []
        self.ids = set(re.findall(r'id="(\w+)"', text))
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.sources += [attrs['src']] if 'src' in attrs else []
        self.links += [attrs['href']] if 'href' in attrs else []
        if tag not in ('meta', 'img', 'br', 'link'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())


def charts(page):
    found = [source for source in page.sources if source.startswith('data:image/svg')]
    return [base64.b64decode(source.split(',')[1]).decode() for source in found]


def details(classes=('cat', 'dog')):
    counts = np.eye(len(classes) + 1, dtype=int)
    return EvaluationDetails(
        title='bbox',
        classes={name: {'AP': 0.25, 'APs': None} for name in classes},
        curves=Curves(
            [0.0, 0.5, 1.0], {'0.50': [1.0, 0.5, None]}, {n: [1.0, 0.5, 0.0] for n in classes}, '0.50'
        ),
        confusion=Confusion.from_counts([*classes, 'background'], counts, 'matched at IoU 0.5', True),
        examples=[Example('worst', 'a.jpg', 'F1 0.10', [('truth', 'data:image/jpeg;base64,AA')])],
        note='Sorted by F1.',
    )


def evaluated_run(folder, *all_details, **options):
    write_run(folder, **options)
    metrics = {'bbox/bbox_mAP': 0.345, 'bbox/bbox_mAP_s': -1.0}
    write_evaluation(folder, metrics, all_details, split='test', checkpoint='work/epoch_2.pth')
    return folder


def page_of(*folders):
    return Page(render(read_runs(folders)))


def test_page__needs_no_other_file_and_no_network(tmp_path):
    text = render(read_runs([evaluated_run(tmp_path, details())]))
    page = Page(text)
    assert page.sources
    assert all(source.startswith('data:image/') for source in page.sources)
    assert {link.removeprefix('#') for link in page.links} <= page.ids
    assert not re.search(r'https?://|<script|@import|url\(', text)


def test_page_of_a_run__shows_curves_results_classes_confusion_and_images(tmp_path):
    page = page_of(evaluated_run(tmp_path, details()))
    titles = ' '.join(charts(page))
    for title in ('loss', 'learning rate', 'bbox AP', 'seconds per iteration', 'IoU 0.50', 'background'):
        assert title in titles
    assert 'bbox 0.345 -' in page.text
    assert 'class AP APs cat 0.250 - dog 0.250 -' in page.text
    assert 'tools/test.py, epoch_2.pth' in page.text
    assert 'AP 0.400 at iteration 40' in page.text
    assert 'a.jpg F1 0.10' in page.text


def test_page_of_runs__draws_them_over_each_other_and_compares_their_configs(tmp_path):
    folders = [
        evaluated_run(
            tmp_path / f'depth{depth}', details(), config=f'model = dict(depth={depth}, norm="BN")\n'
        )
        for depth in (18, 50)
    ]
    page = page_of(*folders)
    assert all('depth18' in chart and 'depth50' in chart for chart in charts(page) if 'iteration' in chart)
    assert 'model.depth 18 50' in page.text
    assert 'model.norm' not in page.text
    assert 'depth18 bbox 0.345' in page.text
    assert 'class depth18 AP depth50 AP cat 0.250 0.250' in page.text


def test_names__cannot_insert_html(tmp_path):
    name = '<script>alert(1)</script>'
    run = evaluated_run(tmp_path / '<b>run', details((name, 'dog')))
    text = render(read_runs([run]))
    assert '<script' not in text
    assert '<b>run' not in text
    assert name in Page(text).text
    assert not any('<script' in chart for chart in charts(Page(text)))


@pytest.mark.parametrize('count', [1, 80, 1000])
def test_any_number_of_classes__is_shown_in_a_small_file(tmp_path, count):
    run = evaluated_run(tmp_path, details([f'class {index}' for index in range(count)]))
    text = render(read_runs([run]))
    assert len(text) < 3_000_000
    assert f'class {count - 1}' in Page(text).text


def test_run_without_details__is_shown_too(tmp_path):
    page = page_of(write_run(tmp_path))
    assert 'bbox 0.400' in page.text
    assert 'Confusion' not in page.text


def test_run_before_its_first_validation__says_so(tmp_path):
    page = page_of(write_training(tmp_path, '20260101_000000', [train_record(1)]))
    assert 'Nothing has been evaluated yet' in page.text
    assert charts(page)


def test_auxiliary_losses_of_detr__are_not_drawn(tmp_path):
    records = [{**train_record(step), 'd0.loss_cls': 1.0, 'loss_bbox': 1.0} for step in (1, 2)]
    found = ' '.join(charts(page_of(write_training(tmp_path, '20260101_000000', records))))
    assert 'loss_cls' in found
    assert 'd0.loss_cls' not in found


def test_file__replaces_the_one_before(tmp_path):
    run = read_runs([write_run(tmp_path)])
    target = tmp_path / 'new/report.html'
    write_report(run, target)
    target.write_text('old')
    write_report(run, target)
    assert target.read_text(encoding='utf-8').startswith('<!DOCTYPE html>')
    assert [path.name for path in target.parent.iterdir()] == ['report.html']
