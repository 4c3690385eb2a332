"""``control=all``: a recipe beside all its controls, over seeds and sparsities, in one sweep."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.errors import ConfigError
from pruneflow.recipe import library
from pruneflow.recipe.references import mentions

ALL = "control=all"
SEEDS = "seed=0,1,2"
SPARSITIES = "sparsity=0.5,0.8,0.9,0.95"


def expanded(overrides: Sequence[str], multirun: bool) -> list[str]:
    """Overrides in which ``control=all`` is spelled out.

    A claim needs its controls at several sparsities, and more than one seed: where the command
    line says neither ``seed`` nor ``sparsity``, it means ``SEEDS`` and ``SPARSITIES``.

    Raises:
        ConfigError: It is no sweep.
    """
    if ALL not in overrides:
        return list(overrides)
    from pruneflow.modifiers.iterative_prune import CONTROLS

    if not multirun:
        raise ConfigError(f"{ALL} trains every control: to run a job for each, add -m")
    given = {word.partition("=")[0].lstrip("+") for word in overrides}
    whole = [f"control={','.join(CONTROLS)}" if word == ALL else word for word in overrides]
    if not given & {"sparsity", "recipe.sparsity"} and _uses_sparsity(overrides):
        whole.append(SPARSITIES)
    return whole if "seed" in given else [*whole, SEEDS]


def _uses_sparsity(overrides: Sequence[str]) -> bool:
    """Whether every recipe asked for refers to ``${sparsity}``, itself or in what it builds on."""
    words = [word.removeprefix("recipe=") for word in overrides if word.startswith("recipe=")]
    names = words[-1].split(",") if words else []
    return bool(names) and all(library.find(name) and _mentions(name) for name in names)


def _mentions(recipe: str) -> bool:
    source = library.load(recipe)
    parents = [name for group, name, _ in source.defaults() if not group]
    return mentions(source.tree, "sparsity") or any(_mentions(name) for name in parents)
