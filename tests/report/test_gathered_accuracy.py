"""The accuracy of a packed network is not that of the network before it was packed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pruneflow.report import gathered_page
from pruneflow.report.gathered import collect
from pruneflow.report.gathered_row import ESTIMATED, VALIDATION, Row
from pruneflow.report.gathered_table import gathered_table
from tests.report import samples
from tests.report.pages import taken
from tests.report.samples import put, run_folder

SCORES = {"before": 0.97, "after": 0.94, "drop": 3.0}


def row_of(values: str | None, scores: dict[str, float] | None, final: float | None = 0.96) -> Row:
    folder = run_folder(Path("run"), accuracy={"dense": 0.97, "final": final})
    put(folder / "deploy", "report.json", samples.good() | {"values": values, "accuracy": scores})
    (row,) = collect([folder])
    return row


def page_of(rows: list[Row]) -> str:
    gathered_page.write(rows, Path("report.html"))
    return taken(Path("report.html").read_text(encoding="utf-8")).text


def terminal(rows: list[Row]) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, color_system=None).print(gathered_table(rows))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("values", "scores", "final", "basis"),
    [
        ("int8", SCORES, 0.93, ESTIMATED),
        ("bf16", SCORES | {"after": 0.98}, 0.97, ESTIMATED),
        ("int8", SCORES | {"after": 0.0}, 0.0, ESTIMATED),
        ("fp32", SCORES, 0.96, ""),
        (None, SCORES, 0.96, ""),
        ("int8", None, None, ""),
    ],
)
def test_what_packing_lost_is_taken_off(
    values: Any, scores: Any, final: float | None, basis: str
) -> None:
    row = row_of(values, scores)
    assert row.final == (None if final is None else pytest.approx(final))
    assert row.basis == basis
    assert row.drop == (None if final is None else pytest.approx(100 * (0.97 - final)))


def test_an_estimate_is_marked_wherever_it_stands() -> None:
    one = row_of("int8", SCORES)
    two = run_folder(Path("other"), recipe="other", sparsity=0.5)
    rows = [one, *collect([two])]
    page = page_of(rows)
    assert f"0.9 sparse: 93.00%, {ESTIMATED}" in page
    assert f"93.00% ({ESTIMATED}), 67.4 kB" in page
    assert "\n93.00%\nestimated\n" in page
    assert "Estimated: the test accuracy less what packing lost" in page
    assert "Rings: values narrower than fp32" in page
    assert "~93.00%" in terminal(rows)
    assert f"~ {ESTIMATED}." in terminal(rows)
    assert ESTIMATED in gathered_page.headline([one])
    assert ESTIMATED not in page_of(rows[1:] * 2) + terminal(rows[1:])


def test_validation_accuracy_is_in_no_chart_of_test_accuracy() -> None:
    for number in range(2):
        put(Path(f"net{number}"), "report.json", samples.good() | {"sparsity": 0.5 + number / 10})
    rows = collect([Path("net0"), Path("net1")])
    assert [(row.final, row.basis, row.drop) for row in rows] == [(0.9667, VALIDATION, None)] * 2
    page = page_of(rows)
    assert "Accuracy against" not in page
    assert "\n96.67%\nvalidation\n" in page
    assert "*96.67%" in terminal(rows)
    with_a_run = page_of([*rows, *collect([run_folder(Path("r"))])])
    assert "0.9 sparse: 96.00%" in with_a_run
    assert "sparse: 96.67%" not in with_a_run


def test_validation_accuracy_is_not_compared_with_that_on_test_data() -> None:
    row = row_of("int8", SCORES, final=None)
    assert (row.dense, row.final, row.basis, row.drop) == (0.97, 0.94, VALIDATION, None)
