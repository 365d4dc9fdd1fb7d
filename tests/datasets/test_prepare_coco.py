"""A copy of COCO is verified, linked, downloaded and made smaller. The shapes stand for COCO."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from conftest import load_tool
from mmdet.datasets import CocoDataset

from eca_mmdet.datasets import coco_download
from eca_mmdet.datasets.coco_release import COCO2017, Archive, CocoRelease, CocoSplit
from eca_mmdet.datasets.coco_subset import make_subset, subset_size
from eca_mmdet.datasets.inspection import inspect_dataset
from eca_mmdet.datasets.prepare_coco import prepare_coco
from eca_mmdet.fetch import DownloadError

SPLITS = ('train2017', 'val2017')


def zip_of(root, folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for path in sorted((root / folder).iterdir()):
            file.write(path, f'{folder}/{path.name}')
        if folder == 'annotations':  # gdown writes blocks of 512 KiB
            file.writestr('annotations/captions_val2017.json', b'x' * 3_000_000)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def archives(shapes):
    """The bytes of the archives of the shapes, by their paths on a server."""
    return {f'/zips/{name}.zip': zip_of(shapes, name) for name in ('annotations', *SPLITS)}


@pytest.fixture(scope='module')
def release(shapes, archives):
    """The shapes, described as COCO is."""
    splits = []
    for name in SPLITS:
        data = (shapes / f'annotations/instances_{name}.json').read_bytes()
        content = json.loads(data)
        counts = len(content['images']), len(content['annotations'])
        splits.append(CocoSplit(name, *counts, hashlib.sha256(data).hexdigest()))
    files = [
        Archive(path[1:], len(data), hashlib.md5(data).hexdigest(), (Path(path).stem,))
        for path, data in archives.items()
    ]
    return CocoRelease('shapes', 'http://nowhere.invalid', 3, tuple(splits), tuple(files))


def test_copy__is_verified_and_linked(shapes, tmp_path, release):
    target = tmp_path / 'data/coco'
    for _ in range(2):  # the second call finds its own links
        report = prepare_coco(target, source=shapes, release=release)
        assert 'complete and unchanged' in report
    assert sorted(path.name for path in target.iterdir()) == ['annotations', *SPLITS]
    assert all((target / name).samefile(shapes / name) for name in SPLITS)
    assert 'complete' in prepare_coco(target, release=release)


def test_layout_with_an_images_folder__is_understood(data, tmp_path, release):
    (data / 'images').mkdir()
    for name in SPLITS:
        (data / name).rename(data / 'images' / name)
    prepare_coco(tmp_path / 'coco', source=data, release=release)
    assert (tmp_path / 'coco/val2017/000001.jpg').is_file()


def edit_json(data, edit):
    path = data / 'annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda data: (data / 'val2017/000002.jpg').unlink(), 'lacks 1 of 4 images, the first is 000002.jpg'),
        (lambda data: (data / 'train2017/x.jpg').write_bytes(b'x'), 'has 9 images instead of 8'),
        (lambda data: (data / 'val2017/000002.jpg').write_bytes(b''), '1 empty files, the first is 000002'),
        (lambda data: edit_json(data, lambda c: c['annotations'].pop()), r'annotations instead of \d+'),
        (lambda data: edit_json(data, lambda c: c['categories'].pop()), 'has 2 categories instead of 3'),
        (lambda data: edit_json(data, lambda c: c.update(x=1)), 'damaged or changed: its SHA-256 sum is'),
        (
            lambda data: (data / 'annotations/instances_val2017.json').write_text('{'),
            'val2017.json is not valid JSON',
        ),
    ],
)
def test_changed_copy__is_refused_and_nothing_is_linked(data, tmp_path, release, damage, message):
    damage(data)
    with pytest.raises(ValueError, match=f'(?s)differs from shapes:.*{message}'):
        prepare_coco(tmp_path / 'coco', source=data, release=release)
    assert not (tmp_path / 'coco').exists()


def test_missing_parts__are_all_named(data, tmp_path, release):
    (data / 'val2017').rename(data / 'elsewhere')
    (data / 'annotations/instances_train2017.json').unlink()
    (data / 'val2017.zip').touch()
    with pytest.raises(FileNotFoundError) as error:
        prepare_coco(tmp_path / 'coco', source=data, release=release)
    assert 'val2017/: val2017.zip is there, but not unpacked. Run\n        unzip' in str(error.value)
    assert 'instances_train2017.json' in str(error.value)
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        prepare_coco(tmp_path / 'coco', source='nowhere', release=release)


def test_target_with_another_dataset__is_not_changed(shapes, tmp_path, release):
    (tmp_path / 'coco/val2017').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='val2017 is already there and is not .*--target'):
        prepare_coco(tmp_path / 'coco', source=shapes, release=release)
    assert [path.name for path in (tmp_path / 'coco').iterdir()] == ['val2017']


def test_download__verifies_and_unpacks_what_is_missing(shapes, tmp_path, server, archives, release):
    pytest.importorskip('gdown')
    address, state = server
    state['content'] = archives
    (tmp_path / 'train2017').symlink_to(shapes / 'train2017')
    prepare_coco(tmp_path, download=True, server=address, release=release)
    assert {path for _, path, _ in state['requests']} == {'/zips/annotations.zip', '/zips/val2017.zip'}
    assert (tmp_path / 'val2017/000001.jpg').read_bytes() == (shapes / 'val2017/000001.jpg').read_bytes()
    asked = len(state['requests'])
    prepare_coco(tmp_path, download=True, server=address, release=release)
    assert len(state['requests']) == asked


def test_interrupted_download__is_resumed(tmp_path, server, archives, release):
    pytest.importorskip('gdown')
    address, state = server
    state.update(content=archives, broken_after=1_500_000)
    with pytest.raises(DownloadError, match=f'(?s)annotations.zip could not.*browser, to {tmp_path}'):
        prepare_coco(tmp_path, download=True, server=address, release=release)
    assert not (tmp_path / 'annotations').exists()
    prepare_coco(tmp_path, download=True, server=address, release=release)
    ranges = [asked for _, path, asked in state['requests'] if path == '/zips/annotations.zip' and asked]
    assert int(ranges[-1][6:].split('-')[0]) > 0


def test_damaged_download__is_refused_and_downloaded_again(tmp_path, server, archives, release):
    pytest.importorskip('gdown')
    address, state = server
    path = '/zips/annotations.zip'
    state['content'] = {**archives, path: archives[path][:-1] + b'x'}
    with pytest.raises(ValueError, match='annotations.zip is not the published file: .*MD5 sum'):
        prepare_coco(tmp_path, download=True, server=address, release=release)
    assert not (tmp_path / 'annotations').exists()
    state['content'] = archives
    prepare_coco(tmp_path, download=True, server=address, release=release)


def test_full_disk__is_reported_before_the_download(tmp_path, monkeypatch, release):
    monkeypatch.setattr(coco_download.shutil, 'disk_usage', lambda path: type('usage', (), dict(free=10)))
    with pytest.raises(OSError, match='0.0 GiB of free space, .* on another disk with --target'):
        prepare_coco(tmp_path, download=True, release=release)


def test_subset__has_the_annotations_of_its_images(shapes, tmp_path, release):
    report = prepare_coco(shapes, subset='50%', out=tmp_path / 'half', release=release)
    assert 'half/train2017: 4 images' in report
    whole = json.loads((shapes / 'annotations/instances_train2017.json').read_text())
    part = json.loads((tmp_path / 'half/annotations/instances_train2017.json').read_text())
    ids = {image['id'] for image in part['images']}
    assert len(ids) == 4
    assert part['annotations'] == [item for item in whole['annotations'] if item['image_id'] in ids]
    assert part['categories'] == whole['categories']
    assert not inspect_dataset(tmp_path / 'half').of('error')
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'half/annotations/instances_val2017.json'),
        data_prefix=dict(img=str(tmp_path / 'half/val2017')),
        metainfo=dict(classes=('circle', 'square', 'triangle')),
        pipeline=[],
    )
    assert len(dataset) == 2


def test_subset__depends_on_the_seed_only_and_grows_with_its_size(shapes, tmp_path):
    def images(name, size, seed=0, **options):
        parts = {part: shapes / part for part in ('annotations', 'train2017')}
        make_subset(parts, ['train2017'], tmp_path / name, size, seed, **options)
        return {path.name for path in (tmp_path / name / 'train2017').iterdir()}

    first = images('a', '25%')
    assert images('b', '2') == first
    assert first < images('c', '50%')
    assert images('d', '50%', seed=1) != images('e', '50%')
    images('f', '2', copies=True)
    assert not any(path.is_symlink() for path in (tmp_path / 'f/train2017').iterdir())
    assert all(path.is_symlink() for path in (tmp_path / 'a/train2017').iterdir())


def test_subset_of_a_link__does_not_need_the_link(shapes, tmp_path, release):
    prepare_coco(tmp_path / 'coco', source=shapes, subset='1', release=release)
    for path in (tmp_path / 'coco').iterdir():
        path.unlink()
    assert (tmp_path / 'coco_1/val2017').is_dir()
    assert all(path.is_file() for path in (tmp_path / 'coco_1/val2017').iterdir())


def test_interrupted_subset__leaves_no_folder_of_its_name(shapes, tmp_path):
    parts = {part: shapes / part for part in ('annotations', 'train2017')} | {'val2017': tmp_path}
    with pytest.raises(FileNotFoundError):
        make_subset(parts, SPLITS, tmp_path / 'part', '50%')
    assert not (tmp_path / 'part').exists()


@pytest.mark.parametrize(('text', 'total', 'size'), [('1%', 118287, 1183), ('0.01%', 50, 1), ('70', 50, 50)])
def test_subset_size__is_a_share_or_a_number(text, total, size):
    assert subset_size(text, total) == size


def test_figures_of_coco__are_the_published_ones():
    train, val = COCO2017.splits
    assert (train.images, val.images) == (118287, 5000)
    assert (train.annotations, val.annotations) == (860001, 36781)
    assert all(len(split.sha256) == 64 for split in COCO2017.splits)
    assert [archive.name for archive in COCO2017.archives] == [
        'annotations_trainval2017.zip',
        'val2017.zip',
        'train2017.zip',
    ]


def test_coco_mini__is_not_taken_for_coco(coco_mini, tmp_path):
    with pytest.raises(ValueError, match='instances_train2017.json has 80 images instead of 118287'):
        prepare_coco(tmp_path / 'coco', source=coco_mini)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'error: data/coco: no such folder'),
        (['--source', 'a', '--download'], '--source and --download cannot be used together'),
        (['--subset', '0%'], '--subset 0% is neither a percentage'),
        (['--subset', 'many'], '--subset many is neither a percentage'),
        (['--subset', '101%'], '--subset 101% is neither a percentage'),
        (['--out', 'a'], 'add --subset 1%'),
        (['--subset', '1%', '--out', '.'], '. exists and is not overwritten'),
    ],
)
def test_wrong_use__is_one_message(in_tmp, capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        load_tool('prepare_coco').main(arguments)
    assert error.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert 'Traceback' not in printed
    assert list(in_tmp.iterdir()) == []
