"""Compare the published cost tables with computed costs."""

from .comparison import compare_all, comparison_text

__all__ = ['compare_all', 'comparison_text']
