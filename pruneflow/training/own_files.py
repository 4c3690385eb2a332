"""What is in files of the person's own that decide what a run does: code, and first weights."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.user_code import make_importable

_LENGTH = 16
_INSTALLED = ("site-packages", "dist-packages")
_STDLIB = Path(sysconfig.get_path("stdlib"))


def contents(values: Mapping[str, Any], home: Path, files: Iterable[str] = ()) -> dict[str, str]:
    """Hashes of the modules that a configuration names, of what they import, and of its weights.

    Nothing is imported. Packages that are installed are known by their version, and are left
    out, as is what cannot be found.

    Args:
        values: The configuration.
        home: The folder that its paths and modules are meant from.
        files: Further files of weights.

    Returns:
        Modules by their names, the weights by theirs.
    """
    model, data = values["model"], values["data"]
    named = [*(values["imports"] or ()), model.get("module"), data.get("module")]
    queue = [str(name).partition(":")[0] for name in named if name is not None]
    if queue:
        make_importable(home.absolute())
    found: dict[str, str] = {}
    while queue:
        name = queue.pop()
        spec = None if name in found else _spec(name)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            found[name] = _code(Path(spec.origin))
            queue += _imported(Path(spec.origin), name)
    for file in (model.get("weights"), *files):
        if file is not None and (path := home / file).is_file():
            stat = path.stat()
            found[str(file)] = _weights(path, stat.st_size, stat.st_mtime_ns)
    return dict(sorted(found.items()))


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, unless it is installed; found without importing the packages above it."""
    parent, _, _ = name.rpartition(".")
    try:
        if parent:
            above = _spec(parent)
            places = above and above.submodule_search_locations
            return PathFinder.find_spec(name, list(places)) if places else None
        spec = None if name == "pruneflow" else find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None or _is_installed(Path(spec.origin or "")) else spec


def _is_installed(path: Path) -> bool:
    return path.is_relative_to(_STDLIB) or any(part in _INSTALLED for part in path.parts)


@cache
def _code(path: Path) -> str:
    """The hash of a module's file as it was when this process first looked at it.

    So it stays that of the code that the process has imported, whoever edits the file.
    """
    return runfolder.sha256(path)[:_LENGTH]


@cache
def _weights(path: Path, size: int, modified: int) -> str:
    """The hash of a file of weights, which may be large, read once for all jobs of a sweep."""
    return runfolder.sha256(path)[:_LENGTH]


@cache
def _imported(path: Path, name: str) -> tuple[str, ...]:
    """The names that may be modules in what a module imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return ()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    names = [full for node in ast.walk(tree) for full in _names(node, package)]
    parts = [full.split(".") for full in (name, *names)]
    return tuple({".".join(part[: end + 1]) for part in parts for end in range(len(part))})


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        try:
            base = resolve_name("." * node.level + (node.module or ""), package)
        except ImportError:  # a relative import in no package
            return
        yield from (f"{base}.{alias.name}" for alias in node.names)
