"""Work directories with the files that mmengine writes, without a training."""

import json


def train_record(step, **values):
    return dict(
        lr=0.01, loss=2.0 / step, loss_cls=1.0 / step, time=0.5, epoch=1, iter=step, step=step, **values
    )


def write_training(folder, timestamp, records, config=''):
    """Write the log and the config of one training."""
    target = folder / timestamp / 'vis_data'
    target.mkdir(parents=True)
    (target / 'scalars.json').write_text(''.join(json.dumps(record) + '\n' for record in records))
    (target / 'config.py').write_text(config)
    return folder


def write_run(folder, config='model = dict(depth=18)\n', ap=0.4):
    """Write the log of a training of four records and two validations, which count epochs."""
    first = {'coco/bbox_mAP': ap / 2, 'coco/bbox_mAP_50': ap, 'time': 0.1, 'step': 1}
    records = [train_record(10), train_record(20), first, train_record(30), train_record(40)]
    return write_training(
        folder, '20260101_000000', [*records, {**first, 'coco/bbox_mAP': ap, 'step': 2}], config
    )
