# A small Faster R-CNN for laptops and images of about 320 pixels:
#     python tools/train.py configs/faster_rcnn_ecanet18_fpn_small.py --data FOLDER --from-scratch
_base_ = [
    './_base_/faster_rcnn_ecanet18_fpn_scratch.py',
    './_base_/small_detection.py',
    './_base_/schedule_scratch.py',
    './_base_/default_runtime.py',
]
