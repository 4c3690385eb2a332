"""Declarations hold no state: what recipes and plans are made of cannot change."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import walk_packages

import pytest

import pruneflow

ROOMS = ("timeline", "schedules", "pruning", "structure", "modifiers", "recipe")
MODULES = [
    module.name
    for module in walk_packages(pruneflow.__path__, "pruneflow.")
    if module.name.split(".")[1] in ROOMS
]


@pytest.mark.parametrize("name", MODULES)
def test_every_dataclass_is_frozen(name: str) -> None:
    for _, kind in inspect.getmembers(import_module(name), inspect.isclass):
        if kind.__module__ == name and is_dataclass(kind):
            assert kind.__dataclass_params__.frozen, kind
