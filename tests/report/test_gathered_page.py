"""The page over many runs: every run in it, harmless, alone, its links leading to files."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pruneflow.report import gathered_page, units
from pruneflow.report.deploy_view import Timing
from pruneflow.report.gathered import collect
from pruneflow.report.gathered_page import headline, link
from pruneflow.report.gathered_row import Row
from pruneflow.report.gathered_table import gathered_table
from pruneflow.report.html import clean
from tests.report import samples
from tests.report.pages import Taken, require_self_contained, taken
from tests.report.samples import put, run_folder

PAGE = Path("report.html")


def page_of(rows: list[Row]) -> Taken:
    gathered_page.write(rows, PAGE)
    text = PAGE.read_text(encoding="utf-8")
    require_self_contained(text)
    return taken(text)


def terminal(rows: list[Row]) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80, color_system=None).print(gathered_table(rows))
    return stream.getvalue()


def named(text: str) -> list[Row]:
    """Three runs in which every text is a stranger's."""
    timing = Timing(12.5, 3.0, f"batch 1 {text}", text)
    one = Row(Path("a"), "complete", text, text, text, text, 0.9, 0.97, 0.96, 100.0, 1000.0, timing)
    return [one, replace(one, sparsity=0.95, bytes=60.0, recipe=f"{text}2"),
            replace(one, final=None, state="unfinished")]  # fmt: skip


def test_the_table_of_a_sweep_of_controls_fits_eighty_columns() -> None:
    (one, *_) = named("lottery, dense_equal_epochs")
    rows = [replace(one, folder=Path(f"controls/{job}"), seed="0") for job in (10, 11)]
    header = next(line for line in terminal(rows).splitlines() if "folder" in line)
    assert header.rstrip().endswith("speed-up")
    assert "controls/10 " in terminal([*rows, replace(rows[0], folder=Path("other"))])
    assert "speed-up" not in terminal([replace(row, timing=None) for row in rows])


@cache
def harmless_shape() -> list[Any]:
    return page_of(named("x")).shape


@given(st.text(min_size=1).filter(str.strip) | st.sampled_from(["</title><script>", "'\"><b>"]))
@settings(max_examples=25)
def test_no_text_changes_the_elements_of_a_page(text: str) -> None:
    page = page_of(named(text))
    assert page.shape == harmless_shape()
    assert clean(text).replace("\r", "\n").strip() in page.text.replace("\r", "\n")


@given(st.lists(st.text("ab:/?#%&\"'<> .jéx\n", min_size=1, max_size=9), min_size=1, max_size=3))
def test_a_link_can_only_lead_to_the_file_it_names(words: list[str]) -> None:
    target = Path("runs", *(word.replace("/", "_").replace(".", "_") for word in words))
    way = link(target, PAGE)
    there = urljoin("file:///home/x/report.html", way)
    assert urlparse(way).scheme == urlparse(way).netloc == urlparse(there).query == ""
    assert unquote(urlparse(there).path) == f"/home/x/{target.as_posix()}"


def test_a_link_may_name_a_folder_that_is_no_text() -> None:
    assert link(Path("caf\udce9"), PAGE) == "./caf%E9"
    page_of([Row(Path("caf\udce9"), recipe="\ud800")])


def test_the_table_holds_every_run_with_its_numbers() -> None:
    rows = collect([samples.sweep(Path("sweep"))])
    page = page_of(rows)
    body = page.text[page.text.index("speed-up") :].split("\n")
    for row in rows[:30]:
        start = body.index(str(row.folder))
        cells = body[start - 13 : start]
        assert cells[:4] == [row.recipe, row.model, row.data, row.seed]
        assert cells[4:7] == [units.percent(row.sparsity), units.percent(row.dense),
                              units.percent(row.final)]  # fmt: skip
        assert cells[8] == units.count(row.bytes or 0)
        assert cells[10:13] == [
            "-" if row.latency is None else units.duration(row.latency),
            "-" if row.speedup is None else units.times(row.speedup),
            "complete",
        ]


def test_runs_without_a_full_result_are_told() -> None:
    rows = collect([samples.sweep(Path("sweep"))])
    page = page_of(rows)
    assert "2 of 32 runs." in page.text
    assert "unfinished: it began and has no result" in page.text
    assert "failed: it ended before its first step" in page.text
    shown = terminal(rows)
    assert "unfinished" in shown
    assert "failed" in shown
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())


def test_links_lead_to_the_page_of_a_deployment_or_to_the_folder() -> None:
    run_folder(Path("out/my run"))
    deployed = run_folder(Path("out/deployed"))
    put(deployed / "deploy", "report.json", samples.good(), "report.html", "x")
    gathered_page.write(collect([Path("out")]), Path("pages/all.html"))
    page = taken(Path("pages/all.html").read_text())
    links = [given["href"] for tag, given in page.tags if tag == "a"]
    assert links == ["./../out/deployed/deploy/report.html", "./../out/my%20run"]
    assert all((Path("pages") / unquote(way)).exists() for way in links)


def test_marks_tell_what_they_are_and_dominated_ones_are_grey() -> None:
    one = Row(Path("a"), recipe="r", model="m", data="d", sparsity=0.5, dense=0.9, bytes=100.0)
    found = {100.0: 0.8, 200.0: 0.9, 300.0: 0.7, 150.0: 0.85}
    rows = [replace(one, bytes=size, final=final) for size, final in found.items()]
    page = page_of(rows)
    assert "r, 50.00% sparse: 70.00%, 300 bytes" in page.text
    fills = [given.get("fill") for tag, given in page.tags if tag == "use"]
    assert fills.count("var(--muted)") == 1


def test_several_seeds_are_one_point_with_a_spread() -> None:
    one = Row(Path("a"), recipe="r", model="m", data="d", sparsity=0.9, dense=0.95)
    page = page_of([replace(one, final=final) for final in (0.9, 0.92, 0.94)])
    assert "r, 0.9 sparse: 92.00%, 3 runs from 90.00% to 94.00%" in page.text


def test_accuracies_on_other_data_stand_in_charts_of_their_own() -> None:
    one = Row(Path("a"), recipe="r", model="m", data="digits", sparsity=0.9, final=0.9, bytes=9.0)
    page = page_of([one, replace(one, data="mnist")])
    assert "Accuracy on digits" in page.text
    assert "Accuracy on mnist" in page.text


def test_latencies_of_several_devices_come_with_a_warning() -> None:
    one = named("x")[0]
    other = replace(one, timing=Timing(1.0, 2.0, "batch 1", "another"))
    assert "on x." in page_of([one, one]).text
    assert "different devices" in page_of([one, other]).text


def test_the_page_of_one_run_shows_all_of_it() -> None:
    folder = run_folder(Path("run"))
    (folder / "run.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    put(folder / "deploy", "report.json", samples.good())
    page = page_of(collect([folder]))
    assert any(given.get("src") == "data:image/png;base64,iVBORw0KGgo=" for _, given in page.tags)
    assert "dense wins above ≈ 54" in page.text
    assert "fc1" in page.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{"final": 0.965, "bytes": 50.0}, {"final": 0.96, "bytes": 40.0}, {"final": 0.9}],
         "r at 90% sparsity, 25.0x smaller, 2.0x as fast as dense: 96.00% accuracy, "
         "1.00 points lost."),
        ([{"final": 0.9}], "r at 90% sparsity, 100x smaller, 2.0x as fast as dense: 90.00% "
         "accuracy, 7.00 points lost."),
        ([{"final": 0.9}, {"final": 0.8}],
         "No run here stayed within one point of its dense accuracy."),
        ([{"final": None}], "No run here has measured its accuracy before and after pruning."),
    ],
)  # fmt: skip
def test_the_headline_names_the_smallest_good_run(changes: list[Any], words: str) -> None:
    one = Row(Path("a"), recipe="r", sparsity=0.9, dense=0.97, bytes=10.0, dense_bytes=1000.0,
              timing=Timing(1.0, 2.0, "", ""))  # fmt: skip
    assert headline([replace(one, **each) for each in changes]).replace(units.TIMES, "x") == words


def test_runs_of_nothing_known_still_make_a_page() -> None:
    page = page_of([Row(Path("a"), "failed"), Row(Path("b"), "failed")])
    assert "No run here has measured its accuracy" in page.text
    assert not [tag for tag, _ in page.tags if tag == "figure"]


@pytest.mark.parametrize("sparsity", [0.0, 1.0, 0.99999, 0.3])
def test_any_sparsity_can_be_drawn(sparsity: float) -> None:
    one = Row(Path("a"), recipe="r", sparsity=sparsity, dense=0.9, final=0.9, bytes=1.0)
    page_of([one, one])
