"""The options ``--data`` and ``--from-scratch`` of the tools."""

import argparse
from typing import Any, Callable, Optional

from mmengine.config import Config

from ..hosts import host_of, require_host
from .config import load_config, set_work_dir
from .section_checks import check_sections


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--data`` and ``--val-fraction`` to a tool's parser."""
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help="folder in COCO format (COCO's or Roboflow's layout, or train.json and val.json); sets files, "
        'classes and heads',
    )
    parser.add_argument(
        '--val-fraction',
        type=float,
        metavar='X',
        help='with --data: validate on this fraction of the images of a folder without validation images',
    )


def own_data_step(args: argparse.Namespace) -> Optional[Callable[[Config], None]]:
    """Return the function that applies ``--data`` and ``--from-scratch`` to a config; ``None`` without them.

    It is to run before ``--cfg-options``, which then have the last word.

    Raises:
        ValueError: If options exclude each other.
    """
    if args.val_fraction is not None and not args.data:
        raise ValueError('--val-fraction needs --data FOLDER')
    if getattr(args, 'split', None) and not args.data:
        raise ValueError('--split needs --data FOLDER')
    if args.data and 'data_root' in args.cfg_options:
        raise ValueError('--data and --cfg-options data_root both name the data. Remove one of them')
    from_scratch = getattr(args, 'from_scratch', False)
    if not args.data and not from_scratch:
        return None
    return lambda cfg: _apply(cfg, args, from_scratch)


def _apply(cfg: Config, args: argparse.Namespace, from_scratch: bool) -> None:
    host = host_of(cfg)
    require_host(host)
    content: Any = None
    if args.data:
        if host.scope != 'mmdet':
            raise ValueError(
                f'--data is for detectors of mmdet, and {cfg.filename} belongs to {host.title}. '
                'Set data_root with\n    --cfg-options data_root=FOLDER'
            )
        from .own_data import use_data_folder

        set_work_dir(cfg, args.work_dir or args.cfg_options.get('work_dir'), args.config, absolute=True)
        mode = 'test' if 'checkpoint' in args else 'train'
        split = getattr(args, 'split', None)
        found = use_data_folder(cfg, args.data, args.val_fraction, split, mode)
        content = found.splits['train'].content
    if from_scratch:
        from .from_scratch import count_annotated, count_training_images, train_from_scratch

        check_sections(cfg, 'train')
        if content is None:
            images = count_training_images(load_config(args.config, args.cfg_options))
        else:
            images = count_annotated(content)
        train_from_scratch(cfg, images, args.cfg_options.get('train_dataloader.batch_size'))
