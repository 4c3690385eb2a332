"""Shared work is kept whole or not at all, never run, and never more of it than allowed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pruneflow.errors import ResumeError
from pruneflow.training.shared import store
from pruneflow.training.shared.store import Entry
from tests.e2e.command import run
from tests.holders import holder

STORE = store.FOLDER


def kept(until: int = 9, step: int = 7, content: bytes = b"weights", key: str = "key") -> Path:
    """A point, as a run publishes it."""
    place = store.place_of(STORE, key, until, "0123456789abcdef")
    place.mkdir(parents=True)
    parts = {"checkpoint": place / "1.part", "metrics": place / "2.part"}
    parts["checkpoint"].write_bytes(content)
    parts["metrics"].write_text("step\n0\n")
    told = {"step": step, "cpu_seconds": 1.5, "run": "outputs/x", "recipe": "tiny"}
    store.publish(place, parts, told)
    return place


def test_what_is_published_is_found_and_fetched() -> None:
    place = kept()
    (entry,) = store.entries(STORE)
    assert store.entries(STORE, "key") == [entry]
    assert store.entries(STORE, "other") == []
    assert (entry.until, entry.prefix, entry.step) == (9, "0123456789abcdef", 7)
    assert (entry.seconds, entry.about["run"], entry.about["model"]) == (1.5, "outputs/x", "")
    entry.fetch("checkpoint", Path("mine/there"))
    assert Path("mine/there").read_bytes() == b"weights"
    assert sorted(path.name for path in place.iterdir()) == sorted(
        [store.ABOUT, entry.part("checkpoint").name, entry.part("metrics").name]
    )


def test_what_is_damaged_is_not_fetched() -> None:
    kept()
    (entry,) = store.entries(STORE)
    entry.part("checkpoint").write_bytes(b"weighty")
    with pytest.raises(ResumeError, match="is damaged"):
        entry.fetch("checkpoint", Path("there"))
    entry.part("metrics").unlink()
    with pytest.raises(ResumeError, match="No such file"):
        entry.fetch("metrics", Path("there"))
    assert not Path("there").exists()
    assert [path.name for path in Path().iterdir()] == ["outputs"], "nothing is left behind"


@pytest.mark.parametrize(
    "told",
    [
        {"step": 0},
        {"step": 10},  # later than its name says
        {"step": "7"},
        {"cpu_seconds": float("nan")},
        {"cpu_seconds": -1},
        {"sha256": {"checkpoint": "../../x", "metrics": "y"}},
        {"sha256": {"checkpoint": "a" * 64}},
        {"sha256": None},
    ],
    ids=str,
)
def test_what_makes_no_sense_does_not_count(told: dict[str, Any]) -> None:
    about = kept() / store.ABOUT
    about.write_text(json.dumps(json.loads(about.read_text()) | told))
    assert store.entries(STORE) == []


def test_half_of_a_point_does_not_count() -> None:
    place = kept()
    for text in ("", "{", "[]", "null", '{"step": 7}'):
        (place / store.ABOUT).write_text(text)
        assert Entry.read(place) is None
    (place / store.ABOUT).unlink()
    assert Entry.read(place) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    places = [kept(until=until, content=bytes(1000)) for until in (7, 8, 9)]
    for age, place in zip((30, 10, 20), places, strict=True):
        os.utime(place / store.ABOUT, (age, age))
    store.trim(STORE, 2 * store.entries(STORE)[0].bytes + 10)
    assert [entry.until for entry in store.entries(STORE)] == [7, 9]
    store.entries(STORE)[1].touch()
    store.trim(STORE, store.entries(STORE)[0].bytes + 10)
    assert [entry.until for entry in store.entries(STORE)] == [9]


def test_a_point_that_somebody_works_on_stays() -> None:
    kept(until=8), kept(until=9)
    with holder(store.entries(STORE)[0].place):
        store.trim(STORE, 0)
        assert store.clear(STORE) == (0, 0)
        assert [entry.until for entry in store.entries(STORE)] == [8]
    assert store.clear(STORE)[0] == 1
    assert not STORE.exists()


def test_the_command_lists_and_clears(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cache", "list") == 0
    assert "Nothing is kept in outputs/.shared" in capsys.readouterr().out
    kept()
    assert run("cache", "list") == 0
    said = capsys.readouterr().out
    for word in ("tiny", "1.5 s", "281 bytes", "just now", "4.00 GB"):
        assert word in said
    assert run("cache", "clear") == 0
    assert "Deleted 1 from outputs/.shared" in capsys.readouterr().out
    assert not STORE.exists()
    assert run("cache") == 0
    assert "usage: pruneflow cache" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lst",), "no 'cache lst'. Did you mean 'list'?"),
        (("clear", "all"), "cache clear: takes no 'all'"),
    ],
)
def test_slips_are_told(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("cache", *words) == 2
    assert told in capsys.readouterr().err
