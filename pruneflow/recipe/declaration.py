"""A recipe as data: frozen, checked, and with a place to point to for every word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruneflow.errors import Problem
from pruneflow.modifiers.base import Modifier
from pruneflow.modifiers.fields import TargetsKind, declared_fields
from pruneflow.modifiers.site import FieldError
from pruneflow.pruning.scope import Targets
from pruneflow.timeline import Time

Locate = Callable[[tuple[str, ...]], str]
"""Where a key stands, e.g. ``my.yaml:5``."""


def nowhere(path: tuple[str, ...]) -> str:
    """The place of keys that come from no file."""
    return "recipe"


@dataclass(frozen=True)
class Recipe:
    """What happens to the weights, and when.

    Attributes:
        name: How it was asked for.
        modifiers: The declarations, in order of first appearance.
        length: The run's length where the recipe sets it.
        targets: The layers that modifiers mean by default.
        locate: Finds the file and line of a key.
    """

    name: str
    modifiers: Mapping[str, Modifier]
    length: Time | None = None
    targets: Targets = field(default_factory=Targets)
    locate: Locate = field(default=nowhere, compare=False, repr=False)

    def problem(self, modifier: Modifier, error: FieldError) -> Problem:
        """What does not fit, with the place of the field that says so."""
        path: tuple[str, ...] = ("modifiers", error.modifier or modifier.name, error.field)
        if error.field == "targets" and getattr(modifier, "targets", None) is None:
            path = ("targets",)
        return Problem(self.locate(path), f"{'.'.join(path)}: {error}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data that reads back as the same recipe, with every reference resolved."""
        tree: dict[str, Any] = {}
        if self.length is not None:
            tree["length"] = str(self.length)
        if self.targets != Targets():
            tree["targets"] = TargetsKind().render(self.targets)
        tree["modifiers"] = {name: to_dict(mod) for name, mod in self.modifiers.items()}
        return tree

    @property
    def control(self) -> str:
        """The control experiment that it is, or ``none``."""
        found = (getattr(modifier, "control", "none") for modifier in self.modifiers.values())
        return next((control for control in found if control != "none"), "none")

    @property
    def files(self) -> list[str]:
        """The files that it reads, by their paths."""
        return [file for modifier in self.modifiers.values() for file in modifier.files]

    @property
    def digest(self) -> str:
        """A hash of what the recipe says, free of layout, comments and defaults."""
        text = json.dumps(self.to_dict(), sort_keys=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_dict(modifier: Modifier) -> dict[str, Any]:
    """A modifier as the YAML mapping that reads back as the same one, defaults left out."""
    tree: dict[str, Any] = {"type": modifier.type}
    for declared in declared_fields(modifier):
        value = getattr(modifier, declared.name)
        if value != declared.default:
            tree[declared.name] = declared.metadata["kind"].render(value)
    return tree
