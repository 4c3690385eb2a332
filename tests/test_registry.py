"""Laws of vocabularies: one name, one meaning; unknown names point to known ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pruneflow import registry as module
from pruneflow.registry import Registry


@pytest.fixture
def colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour")
    registry.register("red")(1)
    registry.register("green")(2)
    return registry


def test_a_name_gives_what_was_registered(colours: Registry[int]) -> None:
    assert colours["red"] == 1
    assert "green" in colours
    assert "blue" not in colours
    assert list(colours) == ["red", "green"]


def test_register_hands_back_what_it_decorates(colours: Registry[int]) -> None:
    assert colours.register("blue")(3) == 3


def test_a_name_is_registered_once(colours: Registry[int]) -> None:
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours.register("red")(7)
    assert colours["red"] == 1


def test_an_unknown_name_is_refused_with_the_nearest_and_the_whole_list(
    colours: Registry[int],
) -> None:
    with pytest.raises(KeyError) as error:
        colours["rad"]
    message = error.value.args[0]
    assert "unknown colour 'rad'" in message
    assert "Did you mean 'red'?" in message
    assert "Allowed: green, red." in message


@dataclass
class Point:
    """An entry point whose import registers one name."""

    registry: Registry[int]
    loads: int = 0

    def load(self) -> None:
        self.loads += 1
        self.registry.register("plugin")(42)


@pytest.mark.parametrize("read", [lambda r: r["plugin"], lambda r: "plugin" in r, list])
def test_packages_join_through_entry_points_at_the_first_reading_and_once(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: Registry[int] = Registry("word", "pruneflow.words")
    point = Point(registry)
    asked: list[str] = []

    def entry_points(group: str) -> list[Point]:
        asked.append(group)
        return [point]

    monkeypatch.setattr(module, "entry_points", entry_points)
    assert point.loads == 0
    assert read(registry)
    assert registry["plugin"] == 42
    assert list(registry) == ["plugin"]
    assert (asked, point.loads) == (["pruneflow.words"], 1)


def test_a_vocabulary_without_a_group_asks_nobody(
    colours: Registry[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "entry_points", lambda group: pytest.fail("asked"))
    assert "red" in colours
