"""The benchmark of scale: its cells are whole, its tables those of its results, its laws hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scale, scale_events
from pruneflow import runfolder


def test_a_cell_of_events_tells_everything_the_table_shows() -> None:
    cell = scale_events.cell(20_000, turns=1)
    assert cell["parameters"] == 141 * 141
    assert set(cell["seconds"]) == {"threshold", "torch"}
    tree = {"events": [cell], "ranks": []}
    assert any(f"| {cell['parameters']:,} |" in line for line in scale.tables(tree))


def test_only_what_is_missing_is_measured() -> None:
    found = {"events": [{"case": [size]} for size in scale.SIZES], "ranks": [{"case": [2, 10**6]}]}
    missing = list(scale._wanted(found, ()))
    assert {kind for kind, _ in missing} == {"ranks"}
    assert len(missing) == len(scale.RANKS) * len(scale.SHARED_SIZES) - 1
    assert list(scale._wanted(found, ["events", "1000000"])) == [("events", [10**6])]


def test_the_tables_are_those_of_the_results(repository: Path) -> None:
    tree = runfolder.read_json(repository / "benchmarks" / "results" / "scale.json")
    shown = (repository / "benchmarks" / "results" / "scale.md").read_text(encoding="utf-8")
    assert shown.splitlines()[2:] == list(scale.tables(tree))


def test_what_ranks_tell_each_other_depends_on_nothing_but_layers(repository: Path) -> None:
    tree = runfolder.read_json(repository / "benchmarks" / "results" / "scale.json")
    sent = {sum(cell["bytes"].values()) for cell in tree["ranks"]}
    assert len(tree["ranks"]) == len(scale.RANKS) * len(scale.SHARED_SIZES)
    assert max(sent) - min(sent) < 1000
    assert max(sent) < 2 * (1 << 16) * 8 + 1000


@pytest.mark.parametrize("size", [1, 1000, 25_000_000, 60_000_000])
def test_layers_have_together_about_as_many_weights(size: int) -> None:
    found = list(scale_events.shapes(size))
    total = sum(rows * columns for rows, columns in found)
    assert size - sum(rows for rows, _ in found) <= total <= size
