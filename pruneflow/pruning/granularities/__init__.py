"""Granularities: single weights, n of every m, whole blocks, whole filters.

A module in this folder that registers a granularity is found by itself.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from pruneflow.pruning.granularities.base import GRANULARITIES, Granularity
from pruneflow.pruning.granularities.unstructured import UNSTRUCTURED

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["GRANULARITIES", "UNSTRUCTURED", "Granularity"]
