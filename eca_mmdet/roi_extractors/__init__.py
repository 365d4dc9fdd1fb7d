"""What reads the features of RoIs from a pyramid."""

from .fast_roi_extractor import FastRoIExtractor

__all__ = ['FastRoIExtractor']
