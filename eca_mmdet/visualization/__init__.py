"""Pictures for people."""

from .overview import write_overview

__all__ = ['write_overview']
