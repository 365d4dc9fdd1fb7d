"""Published cost tables of ECA networks with their sources.

Numbers are strings as printed. In the ECANet README, the ImageNet numbers were computed by thop and are in
units of 2^20 and 2^30. The COCO numbers were computed by mmdet and are in units of 10^6 and 10^9.
"""

from typing import Any, Dict, NamedTuple, Tuple


class Row(NamedTuple):
    """Published numbers of one model as printed, and how to build the model."""

    name: str
    parameters: str
    operations: str
    model: Dict[str, Any]


class PublishedTable(NamedTuple):
    """A published table and the convention of its numbers."""

    title: str
    source: str
    convention: str  # key of CONVENTIONS
    shape: Tuple[int, int]
    binary: bool  # whether M and G are 2^20 and 2^30
    note: str
    rows: Tuple[Row, ...]


def _resnet(depth: int, sizes: str) -> Dict[str, Any]:
    return dict(backbone=str(depth), options=dict(eca_kernel_sizes=sizes))


def _detector(name: str, sizes: str) -> Dict[str, Any]:
    return dict(config=f'eca_mmdet::{name}_fpn_1x.py', options={'model.backbone.eca_kernel_sizes': sizes})


IMAGENET = PublishedTable(
    title='ImageNet, official ECA-Net',
    source='README of github.com/BangguWu/ECANet (2020), "ImageNet"',
    convention='thop2019',
    shape=(224, 224),
    binary=True,
    note='Backbone and classifier with 1000 classes; M = 2^20, G = 2^30. thop 0.0.22 counts a ReLU module '
    'once even if a block uses it three times; here every use counts (0.1 % difference). The 57.41M of '
    'ECA-Net152 cannot be derived from its 60,193,042 parameters, which are 57.4046 x 2^20.',
    rows=(
        Row('ECA-Net18', '11.15M', '1.70G', _resnet(18, '3577')),
        Row('ECA-Net34', '20.79M', '3.43G', _resnet(34, '3357')),
        Row('ECA-Net50', '24.37M', '3.86G', _resnet(50, '3557')),
        Row('ECA-Net101', '42.49M', '7.35G', _resnet(101, '3357')),
        Row('ECA-Net152', '57.41M', '10.83G', _resnet(152, '3357')),
        Row('ECA-MobileNetV2', '3.34M', '319.9M', dict(backbone='mobilenet_v2')),
    ),
)

TIMM = PublishedTable(
    title='ImageNet, timm',
    source='model index of timm, "ECAResNet"; parameters of timm 1.0.31',
    convention='timm',
    shape=(288, 224),
    binary=False,
    note='Backbone and classifier with 1000 classes. The published FLOPs are for an image of 288x224, '
    'although the field "Image Size" says 224.',
    rows=(
        Row('ecaresnet101d', '44,568,563', '10,377,193,728', dict(backbone='ecaresnet101d')),
        Row('ecaresnet101d_pruned', '24,876,040', '4,463,972,081', dict(backbone='ecaresnet101d_pruned')),
        Row('ecaresnet50d', '25,576,350', '5,591,090,432', dict(backbone='ecaresnet50d')),
        Row('ecaresnet50d_pruned', '19,939,713', '3,250,730,657', dict(backbone='ecaresnet50d_pruned')),
        Row('ecaresnetlight', '30,162,046', '5,276,118,784', dict(backbone='ecaresnetlight')),
    ),
)

COCO = PublishedTable(
    title='COCO, official ECA-Net detectors',
    source='README of github.com/BangguWu/ECANet (2020), "COCO 2017"',
    convention='mmdet1',
    shape=(800, 1280),
    binary=False,
    note='Trainable parameters (stem and layer1 are frozen) as in mmdet 1.x, whose box regression and masks '
    "have 81 classes. ReLUs outside of modules, such as the RPN's, are only counted here (0.02 G).",
    rows=(
        Row('Faster R-CNN R50', '41.53M', '207.18G', _detector('faster_rcnn_ecanet50', '5555')),
        Row('Faster R-CNN R101', '60.52M', '283.32G', _detector('faster_rcnn_ecanet101', '3357')),
        Row('Mask R-CNN R50', '44.18M', '275.69G', _detector('mask_rcnn_ecanet50', '3377')),
        Row('Mask R-CNN R101', '63.17M', '351.83G', _detector('mask_rcnn_ecanet101', '3357')),
        Row('RetinaNet R50', '37.74M', '239.43G', _detector('retinanet_ecanet50', '3377')),
        Row('RetinaNet R101', '56.74M', '315.57G', _detector('retinanet_ecanet101', '3357')),
    ),
)

PUBLISHED = {'imagenet': IMAGENET, 'timm': TIMM, 'coco': COCO}
"""Published tables by name."""
