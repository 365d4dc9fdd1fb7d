"""A semantic segmentation dataset of two folders: images, and masks with the same names."""

import os
from typing import List, Sequence

from mmengine.fileio import list_dir_or_file, list_from_file
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class ImageMaskDataset(BaseSegDataset):
    """Read images of any suffix from one folder, and their masks from another one.

    The mask of ``IMAGES/a/b.jpg`` is ``MASKS/a/b.png``. The folders are
    ``data_prefix=dict(img_path=IMAGES, seg_map_path=MASKS)``, relative to ``data_root``.

    Args:
        img_suffix: Suffixes of the images in lower case. Other files are ignored.
        **kwargs: Other arguments of mmseg's ``BaseSegDataset``. ``ann_file`` is a text file with the names of
            the images to use, one per line and without suffix.

    Raises:
        FileNotFoundError: If ``ann_file`` names an image that does not exist.
    """

    def __init__(self, img_suffix: Sequence[str] = IMAGE_SUFFIXES, **kwargs) -> None:
        super().__init__(
            img_suffix=(img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix), **kwargs
        )

    def load_data_list(self) -> List[dict]:
        """List the images with the paths of their masks, sorted by name."""
        folder, masks = self.data_prefix['img_path'], self.data_prefix.get('seg_map_path')
        files = list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=self.backend_args)
        images = {os.path.splitext(name)[0]: name for name in files if name.lower().endswith(self.img_suffix)}
        if self.ann_file:
            names = [line.strip() for line in list_from_file(self.ann_file, backend_args=self.backend_args)]
            missing = [name for name in names if name and name not in images]
            if missing:
                raise FileNotFoundError(
                    f'{self.ann_file} names {len(missing)} images that {folder} lacks, first {missing[0]}'
                )
            images = {name: images[name] for name in names if name}
        fields = dict(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
        return [
            dict(
                img_path=os.path.join(folder, file),
                **(
                    {}
                    if masks is None
                    else dict(seg_map_path=os.path.join(masks, name + self.seg_map_suffix))
                ),
                seg_fields=[],
                **fields,
            )
            for name, file in sorted(images.items())
        ]
