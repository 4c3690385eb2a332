"""The words of the recipe language, one file a type.

A module in this folder that registers a modifier is found by itself.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from pruneflow.modifiers.base import MODIFIERS, Modifier

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["MODIFIERS", "Modifier"]
