"""Modules that pool the features of RoIs from a feature pyramid."""

from .fast_roi_extractor import FastRoIExtractor

__all__ = ['FastRoIExtractor']
