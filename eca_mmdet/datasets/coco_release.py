"""What COCO 2017 consists of: archives, layout, counts and checksums."""

from typing import NamedTuple, Tuple


class Archive(NamedTuple):
    """A file to download.

    Args:
        path: Its path on the server.
        size: In bytes.
        md5: Its checksum.
        members: What it contains, relative to the root of the dataset.
    """

    path: str
    size: int
    md5: str
    members: Tuple[str, ...]

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.rsplit('/', 1)[-1]


class CocoSplit(NamedTuple):
    """A part of the dataset.

    Args:
        name: The name of its image folder.
        images: Number of images.
        annotations: Number of annotations in ``annotations/instances_NAME.json``.
        sha256: The checksum of this file. Empty if it is not compared.
    """

    name: str
    images: int
    annotations: int
    sha256: str = ''

    @property
    def ann_file(self) -> str:
        """The annotation file, relative to the root of the dataset."""
        return f'annotations/instances_{self.name}.json'


class CocoRelease(NamedTuple):
    """A release of COCO.

    Args:
        title: Its name.
        server: The address that the paths of the archives are appended to.
        categories: Number of categories.
        splits: Its parts.
        archives: The files to download.
    """

    title: str
    server: str
    categories: int
    splits: Tuple[CocoSplit, ...]
    archives: Tuple[Archive, ...] = ()


# COCO publishes no checksums. More than ten public repositories that download COCO 2017 state these sizes and
# MD5 sums of the archives; at least five state these SHA-256 sums of the annotation files that are in them.
# The server has no valid certificate for https.
COCO2017 = CocoRelease(
    title='COCO 2017',
    server='http://images.cocodataset.org',
    categories=80,
    splits=(
        CocoSplit(
            'train2017', 118287, 860001, '610fce4944abdeb15354cc765333805529359d12d88f2f711393ca586901d01d'
        ),
        CocoSplit('val2017', 5000, 36781, 'e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f'),
    ),
    archives=(
        Archive(
            'annotations/annotations_trainval2017.zip',
            252907541,
            'f4bbac642086de4f52a3fdda2de5fa2c',
            ('annotations',),
        ),
        Archive('zips/val2017.zip', 815585330, '442b8da7639aecaf257c1dceb8ba8c80', ('val2017',)),
        Archive('zips/train2017.zip', 19336861798, 'cced6f7f71b7629ddf16f17bbcfab6b2', ('train2017',)),
    ),
)
