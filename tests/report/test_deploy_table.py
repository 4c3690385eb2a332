"""What ``deploy`` prints: it fits a terminal and says the same as the page."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pruneflow.errors import DataError
from pruneflow.report import units
from pruneflow.report.deploy_table import deploy_table
from tests.report import samples


def text(report: dict[str, object], width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(deploy_table(report))
    return stream.getvalue()


def test_it_reads_as_it_always_did() -> None:
    report = samples.good()
    report["latency"] = [cell for cell in report["latency"] if cell["threads"] == 1]
    shown = [line.rstrip() for line in text(report).replace(units.TIMES, "x").splitlines()]
    assert [line for line in shown if line] == [
        " 1 thread        kind       batch 1    batch 16    batch 64",
        " ──────────────────────────────────────────────────────────",
        " torch           dense      24.5 µs     96.8 µs      262 µs",
        " torch_compile   dense      21.2 µs     89.9 µs      247 µs",
        " onnxruntime     dense    * 18.0 µs   * 69.9 µs   >* 195 µs",
        " torch_csr       sparse     15.2 µs      151 µs      566 µs",
        " c               sparse   > 3.52 µs   > 38.2 µs      211 µs",
        " speed-up        of *          5.1x       1.83x       1.00x",
        "One call, median over turns; > runs here, * best dense engine.",
        "size      67,380 bytes of 1,066,440 dense: 15.8x smaller; entropy bound 63,510",
        "accuracy  97.22% before and 96.67% after",
        "verdict   15.8x smaller; sparse at batch 1 and 16, up to 5.1x as fast as the",
        "          best dense engine, and dense at batch 64; accuracy 97.22% before and",
        "          96.67% after.",
        "          c wins by 5.1x at batch 1 and 1.9x at batch 16; at batch 64 on one",
        "          thread onnxruntime is ahead by 9 %.",
        "          Sparse would win from 98% at batch 64.",
    ]


def test_many_batches_stand_below_each_other() -> None:
    report = samples.awkward()
    shown = text(report)
    for cell in report["latency"]:
        for entry in cell["engines"].values():
            assert units.duration(entry["median"]) in shown
    assert "…" not in shown
    assert "torch_compile was not timed: no C++ compiler was found" in shown


def test_a_red_gate_shows_no_speed() -> None:
    shown = text(samples.red())
    assert "Not fit to ship" in shown
    assert "µs" not in shown
    assert "batch" not in shown


def test_names_are_text_and_no_markup() -> None:
    shown = text(samples.hostile("[/][b]:x:\x1b[31m"), width=400)
    assert "[/][b]:x:\\x1b[31m" in shown
    assert "\x1b" not in shown


def test_what_is_no_report_is_refused() -> None:
    with pytest.raises(DataError, match=r"report\.json: is not the report"):
        text({})
