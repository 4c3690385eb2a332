"""Modules of the person's own, named on their command line or in their configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pruneflow.errors import ConfigError


def import_modules(names: Iterable[str] | None) -> None:
    """Import modules, so that they can register words; the current folder is importable.

    Raises:
        ConfigError: One of them cannot be imported.
    """
    for name in names or ():
        import_named(name, "imports")


def import_named(name: str, key: str) -> ModuleType:
    """Import one module.

    Args:
        name: ``pkg.mod``.
        key: Where in the configuration it is named.

    Raises:
        ConfigError: It cannot be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"{key}: cannot import '{name}': {error}") from None
