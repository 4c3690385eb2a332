"""Modules of the person's own, named on their command line or in their configuration."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pruneflow.errors import ConfigError, PruneFlowError


def make_importable(folder: Path) -> None:
    """Let Python find modules in a folder."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def import_modules(names: Iterable[str] | None) -> None:
    """Import modules, so that they can register words; the current folder is importable.

    Raises:
        ConfigError: They are no names, or one of them cannot be imported.
    """
    is_list = isinstance(names, Iterable) and not isinstance(names, str | Mapping)
    if names is not None and not (is_list and all(isinstance(name, str) for name in names)):
        raise ConfigError(f"imports={names}: needs a list of modules, e.g. [my_words]")
    for name in names or ():
        import_named(name, "imports")


def import_named(name: str, key: str) -> ModuleType:
    """Import one module.

    Args:
        name: ``pkg.mod``.
        key: Where in the configuration it is named.

    Raises:
        ConfigError: It cannot be imported; the message says where in it.
    """
    make_importable(Path.cwd())
    try:
        return import_module(name)
    except PruneFlowError:
        raise
    except Exception as error:
        raise ConfigError(f"{key}: cannot import '{name}': {_explained(error)}") from None


def _explained(error: Exception) -> str:
    """What went wrong in somebody's module, with file and line where it came that far."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    if not theirs:
        return str(error)
    own = [frame for frame in theirs if Path(frame.filename).is_relative_to(Path.cwd())]
    place = (own or theirs)[-1]
    return f"{_shown(place.filename)}:{place.lineno}: {type(error).__name__}: {error}"


def _shown(filename: str) -> str:
    path, here = Path(filename), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
