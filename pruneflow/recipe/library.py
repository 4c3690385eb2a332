"""Where recipes live: the person's ``./recipes`` first, then the built-in ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pruneflow.errors import Problem, RecipeError, did_you_mean
from pruneflow.recipe.source import Source, read_source

BUILTIN = "builtin"
PARTS = "_parts"

_FOR_EDITORS = "# yaml-language-server:"


def data_root() -> Path:
    """The folder that holds ``conf/`` and ``recipes/``: inside a wheel, or the checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_data"
    return shipped if shipped.is_dir() else package.parent


def roots() -> list[Path]:
    """The folders that are searched, in order."""
    found = [Path.cwd() / "recipes", data_root() / "recipes"]
    unique = {root.resolve(): root for root in reversed(found) if root.is_dir()}
    return list(reversed(unique.values()))


def is_path(name: str) -> bool:
    """Whether a recipe is asked for by path (``./my.yaml``) and not by name."""
    return name.startswith(("./", "../", "/")) or os.path.isabs(name)


def find(name: str) -> Path | None:
    """The file of a recipe (``gradual``, ``builtin/gradual``, ``./my.yaml``) or fragment.

    A name is only ever found inside the folders searched, symbolic links resolved.
    """
    file = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    if is_path(name):
        path = Path(file)
        return path if path.is_file() else None
    searched = roots()
    if file.startswith(f"{BUILTIN}/"):
        file, searched = file.removeprefix(f"{BUILTIN}/"), [data_root() / "recipes"]
    for root in searched:
        path = root / file
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return path
    return None


def names(parts: bool = False) -> list[str]:
    """Every recipe that can be asked for by name, or every fragment."""
    found: set[str] = set()
    for root in roots():
        folder = root / PARTS if parts else root
        found.update(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("."))
    return sorted(found)


def load(name: str, trail: tuple[str, ...] = ()) -> Source:
    """Read a recipe or fragment and make sure that everything it builds on exists.

    Args:
        name: How it is asked for.
        trail: The recipes that led here, to notice a circle.

    Raises:
        RecipeError: It, or something it builds on, is absent or cannot be read.
    """
    path = find(name)
    if path is None:
        raise RecipeError(Problem("", unknown(name)))
    source = read_source(path, shown(path))
    trail = (*trail, str(path.resolve()))
    for group, default, line in source.defaults():
        place = f"{source.file}:{line}"
        if PARTS in path.parts[-2:]:
            raise RecipeError(Problem(place, "a fragment has no defaults of its own"))
        wanted = f"{group}/{default}" if group else default
        target = find(wanted)
        if target is None:
            raise RecipeError(Problem(place, f"defaults: {unknown(wanted)}"))
        if str(target.resolve()) in trail:
            hint = f"; the built-in one is '{BUILTIN}/{default}'" if len(trail) == 1 else ""
            raise RecipeError(Problem(place, f"defaults: '{default}' extends itself{hint}"))
        load(wanted, trail)
    return source


def inherited_fragments(source: Source) -> set[str]:
    """The fragments, as ``_parts@modifiers.NAME``, of everything a recipe builds on."""
    found: set[str] = set()
    for group, default, _ in source.defaults():
        if not group:
            parent = load(default)
            found |= {key for entry in parent.tree.get("defaults") or ()
                      if isinstance(entry, dict) for key in entry}  # fmt: skip
            found |= inherited_fragments(parent)
    return found


def unknown(name: str) -> str:
    """The message for a recipe or fragment that is not there."""
    if is_path(name):
        wanted = f"'{name}' is no recipe" if Path(name).exists() else f"no recipe file '{name}'"
        return f"{wanted}; the names of recipe files end in .yaml"
    if name.startswith(f"{PARTS}/"):
        fragment = name.removeprefix(f"{PARTS}/")
        return f"no fragment '{fragment}'.{did_you_mean(fragment, names(parts=True), True)}"
    hint = did_you_mean(name.removeprefix(f"{BUILTIN}/"), names(), always=True)
    if beside := next((file for file in (name, f"{name}.yaml") if _is_recipe(file)), None):
        hint = f" There is a file of that name: write './{beside}'."
    return f"no recipe '{name}'.{hint}"


def _is_recipe(file: str) -> bool:
    return file.endswith((".yaml", ".yml")) and Path(file).is_file()


def shown(path: Path) -> str:
    """A file's name as a person would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def described() -> Iterator[tuple[str, str, Path]]:
    """Name, first comment line and file of every recipe."""
    for name in names():
        path = find(name)
        if path is not None:
            yield name, description(path), path


def description(path: Path) -> str:
    """The comment at a recipe's head, as one paragraph."""
    words = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_FOR_EDITORS):
            continue
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# ").rstrip())
    return " ".join(words)
