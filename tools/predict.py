"""Predict on images: tools/predict.py work_dirs/demo/epoch_9.pth images/ --out predictions"""

import argparse

from eca_mmdet.apis import user_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Predict on images, folders, patterns and videos with a trained model.',
        epilog='example: python tools/predict.py work_dirs/demo/epoch_9.pth docs/demo.jpg --out predictions',
    )
    parser.add_argument(
        'weights', help='checkpoint of tools/train.py or tools/convert_weights.py, or model.onnx'
    )
    parser.add_argument('sources', nargs='+', help='images, folders, patterns such as "images/*.jpg", videos')
    parser.add_argument('--config', help='config file or name, if the checkpoint does not contain its config')
    parser.add_argument('--out', default='predictions', help='output folder (default: %(default)s)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='images at once (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', help='keep only instances of these classes')
    parser.add_argument('--device', help='such as cuda:0 (default: a GPU if there is one, else the CPU)')
    parser.add_argument(
        '--backend',
        choices=['auto', 'torch', 'onnxruntime', 'openvino'],
        help='what computes (default: torch for a checkpoint, onnxruntime for a file of tools/export.py)',
    )
    parser.add_argument('--ann', help='COCO annotation file with the ids for coco_results.json')
    parser.add_argument('--no-images', action='store_true', help='do not write drawings')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        from eca_mmdet.prediction.detector import Detector
        from eca_mmdet.prediction.to_folder import predict_to_folder

        model = (args.config, args.weights) if args.config else (args.weights,)
        detector = Detector(*model, device=args.device, backend=args.backend)
        summary = predict_to_folder(
            detector,
            args.sources,
            args.out,
            draw=not args.no_images,
            ann_file=args.ann,
            score_thr=args.score_thr,
            batch_size=args.batch_size,
            classes=args.classes,
        )
    found = ', '.join(f'{count} {name}' for name, count in summary['found'].items()) or 'nothing'
    print(f'\n{summary["images"]} images, {summary["images_per_second"]:.2f} images a second. Found: {found}')
    for path, reason in summary['unreadable']:
        print(f'not read: {path} {reason}')
    print(f'results: {args.out}')


if __name__ == '__main__':
    main()
