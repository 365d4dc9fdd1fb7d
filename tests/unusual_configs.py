"""Unusual configs that mmdet trains, or fails to train.

Each case is a function that changes the config of a plain RetinaNet. Its arguments are the config as a dict
and the data folder. It may return command-line options for ``tools/train.py`` and for mmdet's tool.
"""

import json
import shutil
from pathlib import Path

import torch

CLASSES = ('circle', 'square', 'triangle')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
]
TRAIN = [*PIPELINE, dict(type='PackDetInputs')]
META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
VAL = [*PIPELINE[:1], PIPELINE[2], PIPELINE[1], dict(type='PackDetInputs', meta_keys=META_KEYS)]
SGD = dict(type='SGD', lr=0.001, momentum=0.9)


def coco_set(data, split, pipeline, **options):
    return dict(
        type='CocoDataset',
        metainfo=dict(classes=CLASSES),
        data_root=f'{data}/',
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=dict(img=f'{split}2017/'),
        pipeline=pipeline,
        **options,
    )


def loader(dataset, shuffle, batch_size=2):
    sampler = dict(type='DefaultSampler', shuffle=shuffle)
    return dict(batch_size=batch_size, num_workers=0, sampler=sampler, dataset=dataset)


def retinanet(data):
    """Create the config of a RetinaNet with ECA on mmdet's base configs, for four training iterations."""
    val = loader(coco_set(data, 'val', VAL, test_mode=True), shuffle=False)
    evaluator = dict(type='CocoMetric', ann_file=f'{data}/annotations/instances_val2017.json', metric='bbox')
    return dict(
        _base_=['mmdet::_base_/models/retinanet_r50_fpn.py', 'mmdet::_base_/default_runtime.py'],
        custom_imports=dict(imports=['eca_mmdet']),
        randomness=dict(seed=3),
        exact_resume=False,  # mmdet's tool draws random numbers in another order
        model=dict(
            backbone=dict(
                type='ECAResNet', depth=18, base_channels=8, frozen_stages=-1, norm_eval=False, init_cfg=None
            ),
            neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
            bbox_head=dict(num_classes=3, in_channels=32, feat_channels=32, stacked_convs=1),
        ),
        train_dataloader=loader(coco_set(data, 'train', TRAIN), shuffle=True),
        val_dataloader=val,
        test_dataloader=val,
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=SGD),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3)],
    )


def edit_json(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def write_voc(data):
    """Write the training set in Pascal VOC format."""
    root = data / 'voc' / 'VOC2007'
    for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    content = json.loads((data / 'annotations/instances_train2017.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    for image in content['images']:
        stem = Path(image['file_name']).stem
        shutil.copy(data / 'train2017' / image['file_name'], root / 'JPEGImages' / f'{stem}.jpg')
        objects = ''
        for annotation in (a for a in content['annotations'] if a['image_id'] == image['id']):
            x, y, w, h = annotation['bbox']
            objects += (
                f'<object><name>{names[annotation["category_id"]]}</name><difficult>0</difficult><bndbox>'
                f'<xmin>{x:.0f}</xmin><ymin>{y:.0f}</ymin><xmax>{x + w:.0f}</xmax><ymax>{y + h:.0f}</ymax>'
                '</bndbox></object>'
            )
        size = (
            f'<size><width>{image["width"]}</width><height>{image["height"]}</height><depth>3</depth></size>'
        )
        (root / 'Annotations' / f'{stem}.xml').write_text(f'<annotation>{size}{objects}</annotation>')
    stems = [Path(image['file_name']).stem for image in content['images']]
    (root / 'ImageSets/Main/trainval.txt').write_text('\n'.join(stems))


def unchanged(cfg, data):
    """The hooks that the tool adds do not change the training."""


def seed_option_and_deterministic(cfg, data):
    cfg['randomness'] = dict(seed=3, deterministic=True, diff_rank_seed=True)
    return ['--seed', '5'], ['--cfg-options', 'randomness.seed=5']


def by_iterations(cfg, data):
    cfg['train_cfg'] = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
    cfg['train_dataloader']['sampler'] = dict(type='InfiniteSampler', shuffle=True)
    cfg['default_hooks'] = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))


def averaged_weights(cfg, data):
    cfg['custom_hooks'] = [dict(type='EMAHook', momentum=0.1)]


def accumulated_clipped_and_by_layer(cfg, data):
    cfg['optim_wrapper'].update(
        optimizer=dict(SGD, weight_decay=1e-4),
        accumulative_counts=2,
        clip_grad=dict(max_norm=1.0),
        paramwise_cfg=dict(bias_decay_mult=0.0, custom_keys={'backbone': dict(lr_mult=0.1)}),
    )


def pascal_voc(cfg, data):
    write_voc(data)
    cfg['train_dataloader']['dataset'] = dict(
        type='VOCDataset',
        metainfo=dict(classes=CLASSES),
        data_root=f'{data}/voc/',
        ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        pipeline=TRAIN,
    )


def wrapped_datasets(cfg, data):
    part = cfg['train_dataloader']['dataset']
    again = dict(type='RepeatDataset', times=2, dataset=part)
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=part)
    cfg['train_dataloader']['dataset'] = dict(type='ConcatDataset', datasets=[again, balanced])


def classes_in_a_file(cfg, data):
    (data / 'classes.txt').write_text('\n'.join(CLASSES))
    cfg['train_dataloader']['dataset']['metainfo'] = dict(classes=f'{data}/classes.txt')


def no_validation(cfg, data):
    cfg.update(val_dataloader=None, val_evaluator=None, val_cfg=None)


def warm_up_after_cosine(cfg, data):
    cosine = dict(type='CosineAnnealingLR', by_epoch=False, T_max=4, eta_min=1e-4)
    cfg['param_scheduler'] = [cosine, *cfg['param_scheduler']]


def first_stage_with_classes(cfg, data):
    """FCOS as the RPN, with a single class."""
    cfg['_base_'] = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py']
    backbone = cfg['model']['backbone']
    shared = dict(bbox_head=dict(num_classes=3, in_channels=32, fc_out_channels=32))
    roi_head = dict(bbox_roi_extractor=dict(out_channels=32), **shared)
    rpn_head = dict(in_channels=32, feat_channels=32)
    neck = dict(in_channels=[8, 16, 32, 64], out_channels=32)
    cfg['model'] = dict(backbone=backbone, neck=neck, rpn_head=rpn_head, roi_head=roi_head)
    for part in ('train_dataloader', 'val_dataloader', 'val_evaluator', 'optim_wrapper', 'train_cfg'):
        cfg[part] = dict(cfg[part], _delete_=True)
    cfg.update(test_dataloader=cfg['val_dataloader'], test_evaluator=cfg['val_evaluator'])


def single_annotations_lack_area(cfg, data):
    path = data / 'annotations/instances_train2017.json'
    edit_json(path, lambda content: content['annotations'][0].pop('area'))


def nothing_is_annotated(cfg, data):
    cfg['train_dataloader']['dataset']['filter_cfg'] = dict(filter_empty_gt=True, min_size=1)
    edit_json(data / 'annotations/instances_train2017.json', lambda content: content.update(annotations=[]))


def unknown_depth(cfg, data):
    cfg['model']['backbone']['depth'] = 51


def unknown_optimizer(cfg, data):
    cfg['optim_wrapper']['optimizer'] = dict(type='SGDD', lr=0.1)


def starts_from_a_backbone_alone(cfg, data):
    from eca_mmdet import ECAResNet

    torch.save(dict(state_dict=ECAResNet(18, base_channels=8).state_dict()), data / 'backbone.pth')
    cfg['load_from'] = str(data / 'backbone.pth')


SAME = [
    unchanged,
    seed_option_and_deterministic,
    by_iterations,
    averaged_weights,
    accumulated_clipped_and_by_layer,
    pascal_voc,
    wrapped_datasets,
    classes_in_a_file,
    no_validation,
    warm_up_after_cosine,
    first_stage_with_classes,
]
BROKEN = {
    single_annotations_lack_area: 'area',
    nothing_is_annotated: 'annotat',
    unknown_depth: '51',
    unknown_optimizer: 'SGDD',
}
"""Configs that end in a traceback in mmdet, and a part of the message of ``tools/train.py``."""
