"""Layouts: which weights a packed tensor stores, and the index that says so.

A module in this folder that registers a format is found by itself. ``README.md`` beside it is
the specification.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from pruneflow.deploy.formats.base import FORMATS, Format, Index

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FORMATS", "Format", "Index"]
