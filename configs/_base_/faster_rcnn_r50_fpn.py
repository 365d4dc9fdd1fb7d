# mmdet's Faster R-CNN with this package's RoIAlign, which is fast on CPUs.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'
model = dict(roi_head=dict(bbox_roi_extractor=dict(type='FastRoIExtractor')))
