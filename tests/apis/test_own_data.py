"""A config that is pointed to a folder: its datasets, evaluators, heads and paths."""

import json
from pathlib import Path

import pytest
from coco_layouts import NAMES, as_coco, as_plain, as_roboflow, write_split
from conftest import ROOT, load_tool

from eca_mmdet.apis import load_config
from eca_mmdet.apis.own_data import use_data_folder

BOXES = 'eca_mmdet::faster_rcnn_ecanet18_fpn_1x.py'
MASKS = 'eca_mmdet::mask_rcnn_ecanet18_fpn_1x.py'


def use(folder, name=BOXES, options=None, **arguments):
    """Return a config of this folder."""
    cfg = load_config(name, options)
    cfg.work_dir = str(folder.parent / 'work')
    use_data_folder(cfg, folder, **arguments)
    return cfg


@pytest.fixture
def folder(tmp_path):
    return as_roboflow(tmp_path / 'data')


def test_datasets_and_evaluators__read_the_files_of_their_split(folder):
    cfg = use(folder)
    for loader, split in (('train', 'train'), ('val', 'valid'), ('test', 'test')):
        dataset = cfg[f'{loader}_dataloader'].dataset
        assert dataset.data_root == f'{folder}/'
        assert dataset.data_prefix == dict(img=f'{split}/')
        assert dataset.metainfo == dict(classes=NAMES)
        assert dataset.ann_file == str(folder.parent / f'work/annotations/{loader}.json')
        if loader != 'train':
            assert cfg[f'{loader}_evaluator'].ann_file == dataset.ann_file


def test_files_without_corrections__are_used_where_they_are(tmp_path):
    cfg = use(as_coco(tmp_path / 'data'))
    assert cfg.train_dataloader.dataset.ann_file == 'annotations/instances_train2017.json'
    assert cfg.test_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'
    assert cfg.val_evaluator.ann_file == f'{tmp_path}/data/annotations/instances_val2017.json'
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize(('split', 'name'), [('val', 'val'), ('test', 'test'), (None, 'test')])
def test_test_split__can_be_chosen(folder, split, name):
    assert Path(use(folder, test_split=split).test_evaluator.ann_file).stem == name


def test_test_split__that_is_missing_is_refused(tmp_path):
    with pytest.raises(ValueError, match='has no test split: it has train, val. Use --split val'):
        use(as_coco(tmp_path / 'data'), test_split='test')


@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        (BOXES, ['roi_head.bbox_head']),
        ('eca_mmdet::retinanet_ecanet18_fpn_1x.py', ['bbox_head']),
        ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', ['roi_head.bbox_head']),
        ('mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', ['bbox_head']),
        (
            'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
            [f'roi_head.bbox_head.{index}' for index in range(3)],
        ),
        ('mmdet::detr/detr_r50_8xb2-150e_coco.py', ['bbox_head']),
        ('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py', ['bbox_head']),
    ],
)
def test_heads__get_the_number_of_classes(folder, name, heads):
    model = use(folder, name).model
    for head in heads:
        node = model
        for part in head.split('.'):
            node = node[int(part)] if part.isdigit() else node[part]
        assert node.num_classes == 3


def test_mask_heads__get_the_number_of_classes(tmp_path):
    cfg = use(as_coco(tmp_path / 'data', with_masks=True), 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')
    assert cfg.model.roi_head.mask_head.num_classes == 3
    assert cfg.val_evaluator.metric == ['bbox', 'segm']


def test_head_that_relies_on_its_default__gets_the_number_of_classes(folder):
    cfg = load_config(BOXES)
    del cfg.model.roi_head.bbox_head['num_classes']
    cfg.work_dir = str(folder.parent / 'work')
    use_data_folder(cfg, folder)
    assert cfg.model.roi_head.bbox_head.num_classes == 3


@pytest.mark.parametrize(
    'wrapper', ['RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset', 'ConcatDataset']
)
def test_wrapped_dataset__keeps_its_wrapper(folder, wrapper):
    cfg = load_config(BOXES)
    inner = cfg.train_dataloader.dataset
    key = dict(datasets=[inner]) if wrapper == 'ConcatDataset' else dict(dataset=inner)
    cfg.train_dataloader.dataset = dict(type=wrapper, **key)
    cfg.work_dir = str(folder.parent / 'work')
    use_data_folder(cfg, folder)
    outer = cfg.train_dataloader.dataset
    assert outer.type == wrapper
    assert (outer.dataset if 'dataset' in outer else outer.datasets[0]).metainfo.classes == NAMES


def test_mask_rcnn__on_boxes_names_the_config_without_masks(folder):
    with pytest.raises(ValueError, match=r'roi_head.mask_head.*9 of the 9 objects') as caught:
        use(folder, MASKS)
    path = str(caught.value).splitlines()[-1].strip()
    assert path.endswith('configs/faster_rcnn_ecanet18_fpn_1x.py')
    assert Path(path).is_file()


def test_masks__are_neither_loaded_nor_evaluated_without_need(folder):
    cfg = load_config(BOXES)
    cfg.train_dataloader.dataset.pipeline[1].with_mask = True
    cfg.val_evaluator.metric = ['bbox', 'segm']
    cfg.work_dir = str(folder.parent / 'work')
    use_data_folder(cfg, folder)
    assert cfg.train_dataloader.dataset.pipeline[1].with_mask is False
    assert cfg.val_evaluator.metric == 'bbox'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('eca_mmdet::panoptic_fpn_ecanet50_fpn_1x.py', 'is a CocoPanopticDataset'),
        ('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', 'uses several|VOCDataset'),
        ('mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', 'LVIS'),
        ('mmdet::cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py', 'val_evaluator is a CityScapesMetric'),
        ('mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py', 'classifies by text'),
    ],
)
def test_config_for_other_data__is_refused(folder, name, message):
    with pytest.raises(ValueError, match=message):
        use(folder, name)


def test_weights__are_absolute_so_that_the_config_works_anywhere(folder, in_tmp):
    Path('weights').mkdir()
    Path('weights/eca_resnet18_k3577.pth').touch()
    cfg = use(folder)
    assert cfg.model.backbone.init_cfg.checkpoint == f'{in_tmp}/weights/eca_resnet18_k3577.pth'


@pytest.mark.parametrize('name', ['Zellkern ä', '血小板', "it's", 'a"b', 'a\\b', 'x{y}'])
def test_class_names__survive_in_the_written_config(tmp_path, name):
    def rename(content):
        content['categories'][1]['name'] = name

    for split, names in (('train', ('1.jpg', '2.jpg')), ('val', ('3.jpg',))):
        write_split(tmp_path / f'data/{split}.json', tmp_path / 'data/images', names, edit=rename)
    cfg = use(tmp_path / 'data')
    cfg.dump(tmp_path / 'x.py')
    again = load_config(str(tmp_path / 'x.py'))
    assert again.train_dataloader.dataset.metainfo.classes[1] == name


TOOLS = {name: load_tool(name).main for name in ('train', 'test')}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--val-fraction', '0.2'], '--val-fraction needs --data FOLDER'),
        (['--data', 'x', '--cfg-options', 'data_root=y'], 'both name the data'),
        (['--data', 'nowhere'], 'nowhere does not exist'),
    ],
)
@pytest.mark.parametrize('tool', TOOLS)
def test_wrong_options__exit_with_2(in_tmp, capsys, tool, arguments, message):
    weights = ['x.pth'] if tool == 'test' else []
    with pytest.raises(SystemExit) as exit_:
        TOOLS[tool]([str(ROOT / 'configs/faster_rcnn_ecanet18_fpn_1x.py'), *weights, *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
    assert list(in_tmp.iterdir()) == []


def test_data__of_another_host_library_is_refused(in_tmp, capsys):
    Path('x.py').write_text("default_scope = 'mmseg'\nmodel = dict(type='X')")
    pytest.importorskip('mmseg')
    with pytest.raises(SystemExit):
        TOOLS['train'](['x.py', '--data', '.'])
    assert '--data is for detectors of mmdet, and' in capsys.readouterr().err


def test_plain_json__is_never_changed(tmp_path):
    folder = as_plain(tmp_path / 'data')
    before = {path: path.read_text() for path in folder.glob('*.json')}
    use(folder)
    assert {path: path.read_text() for path in folder.glob('*.json')} == before
    assert json.loads(before[folder / 'train.json'])
