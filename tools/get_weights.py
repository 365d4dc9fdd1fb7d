"""Download and convert a released checkpoint: tools/get_weights.py eca_resnet50_k3557"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.checkpoints.download import get_weights
from eca_mmdet.checkpoints.released import released_checkpoints


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Download a released checkpoint, check it, and convert it for the configs.',
        epilog='example: python tools/get_weights.py eca_resnet50_k3557',
    )
    parser.add_argument('name', nargs='?', help='name of the checkpoint (without it: list all names)')
    parser.add_argument('--url', help='download from this address, such as a mirror')
    parser.add_argument('--file', help='use this file, which was downloaded with a browser')
    parser.add_argument('--overwrite', action='store_true', help='replace the converted file')
    args = parser.parse_args(argv)
    if not args.name:
        for released in released_checkpoints().values():
            print(f'{released.name}  ->  {released.target}')
            for link in released.links:
                print(f'    {link}')
        return
    with user_errors():
        print(get_weights(args.name, url=args.url, file=args.file, overwrite=args.overwrite))


if __name__ == '__main__':
    main()
