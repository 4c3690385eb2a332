"""The page of a deployed network: complete, harmless, alone, and silent where the gate is red."""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.errors import DataError
from pruneflow.report import deploy_page, units
from pruneflow.report.deploy_view import opened
from pruneflow.report.deploy_words import headline
from pruneflow.report.html import clean
from tests.report import samples
from tests.report.pages import Taken, require_self_contained, taken

PAGE = Path("report.html")
REPORTS: list[Callable[[], dict[str, Any]]] = [
    samples.good, samples.sparse, samples.awkward, samples.red, samples.hostile,
    samples.on_gpu, samples.ahead, samples.in_c,
]  # fmt: skip
each_report = pytest.mark.parametrize("report", REPORTS, ids=lambda make: make.__name__)


def written(report: dict[str, Any]) -> str:
    deploy_page.write(report, PAGE)
    return PAGE.read_text(encoding="utf-8")


def page_of(report: dict[str, Any]) -> Taken:
    return taken(written(report))


@cache
def harmless_shape() -> list[Any]:
    return page_of(samples.hostile("x")).shape


# -- harmless ------------------------------------------------------------------------------


@given(
    st.text(min_size=1).filter(str.strip) | st.sampled_from(["<b>", "'\"", "]]>", "-->", "&lt;"])
)
@settings(max_examples=25)
def test_no_text_changes_the_elements_of_a_page(text: str) -> None:
    page = page_of(samples.hostile(text))
    assert page.shape == harmless_shape()
    assert clean(text).replace("\r", "\n").strip() in page.text.replace("\r", "\n")


@each_report
def test_a_page_asks_nobody_for_anything(report: Callable[[], dict[str, Any]]) -> None:
    require_self_contained(written(report()))


def test_the_policy_allows_the_style_and_the_script_that_are_there() -> None:
    page = page_of(samples.good())
    policy = next(given["content"] for _, given in page.tags if "http-equiv" in given)
    for name in ("style", "script"):
        digest = b64encode(sha256(page.raw[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


@each_report
def test_every_reference_inside_a_page_leads_somewhere(report: Callable[[], Any]) -> None:
    page = page_of(report())
    ids = [given["id"] for _, given in page.tags if "id" in given]
    used = {value.partition("#")[2].rstrip(")") for _, given in page.tags
            for value in given.values() if value.startswith(("#", "url(#"))}  # fmt: skip
    assert len(ids) == len(set(ids))
    assert used == set(ids)


# -- robust --------------------------------------------------------------------------------


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    pairs = enumerate(value) if isinstance(value, list) else ()
    for key, member in value.items() if isinstance(value, dict) else pairs:
        yield from places(member, (*way, key))


WHOLE = samples.on_gpu() | {"kernels": samples.ahead()["kernels"], "c99": samples.code()}
PLACES = [way for way in places(WHOLE) if way and "samples" not in way[:-1]]
STRANGE = [None, "", "x", True, 0, -1, 1, 1e-300, 1e17, 1e300, 10**400, float("nan"), float("inf"),
           [], [1], [None], {}, {"a": 1}, {"a": {}}, "\ud800", "$x^2$"]  # fmt: skip


@given(st.sampled_from(PLACES), st.sampled_from(STRANGE))
@settings(max_examples=50)
def test_a_strange_report_is_refused_or_drawn(way: tuple[Any, ...], strange: Any) -> None:
    report = copy.deepcopy(WHOLE)
    holder: Any = report
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = copy.deepcopy(strange)
    try:
        require_self_contained(written(report))
    except DataError as error:
        assert "report.json" in str(error)  # noqa: PT017 - either outcome is good


@pytest.mark.parametrize(
    ("schema", "words"),
    [("pruneflow.report/2", "newer PruneFlow"), ("other/1", "is not the report"),
     (None, "is not the report"), (3, "needs text"), ("pruneflow.report/²", "is not the report")],
)  # fmt: skip
def test_other_reports_are_refused(schema: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        written(samples.good() | {"schema": schema})


def test_on_a_gpu_no_threads_are_told() -> None:
    text = page_of(samples.on_gpu()).text
    assert "Median latency, GPU" in text
    assert "1 thread" not in text
    assert "NVIDIA H100 80GB HBM3" in text


def test_what_was_compiled_ahead_is_told() -> None:
    text = page_of(samples.ahead()).text
    assert "Compiled ahead of time, and not run" in text
    assert text.count("sell_gemv") == 6
    assert "its speed was not measured" in text
    assert "Kernels" not in page_of(samples.good()).text


def test_damage_is_told_with_its_place() -> None:
    report = samples.good()
    report["latency"][2]["engines"]["c"]["median"] = "fast"
    with pytest.raises(DataError, match=r"latency\[2\].engines.c.median: .* needs a number"):
        written(report)


def test_colours_of_other_peoples_matplotlib_do_not_matter() -> None:
    import matplotlib as mpl

    plain = written(samples.good())
    with mpl.rc_context({"axes.facecolor": "red", "lines.marker": "x", "font.size": 30}):
        assert written(samples.good()) == plain


# -- complete ------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [samples.good(), samples.awkward()], ids=["good", "awkward"])
def test_every_layer_is_in_the_table_with_its_numbers(report: dict[str, Any]) -> None:
    text = page_of(report).text
    for layer in report["layers"]:
        row = text[text.index(f"\n{layer['name']}\n") :]
        for number in (units.percent(layer["sparsity"]), f"{layer['nonzeros']:,}",
                       f"of {layer['parameters']:,}", f"{layer['flops_share']:.1%}",
                       layer["layout"], f"{layer['bytes']:,}", layer["backend"], layer["why"],
                       units.duration(layer["times"]["c"])):  # fmt: skip
            assert f"\n{number}\n" in row or number in row.partition(layer["why"])[2]


@pytest.mark.parametrize("report", [samples.good(), samples.awkward()], ids=["good", "awkward"])
def test_every_time_is_on_the_page(report: dict[str, Any]) -> None:
    text = page_of(report).text
    for cell in report["latency"]:
        assert units.times(cell["speedup"]) in text
        for entry in cell["engines"].values():
            assert units.duration(entry["median"]) in text
            assert " ".join(f"{sample:g}" for sample in entry["samples"]) in text
            assert f"cold {entry['cold']:g}" in text


def test_the_bytes_the_bound_the_accuracy_and_the_machine_are_on_the_page() -> None:
    report = samples.good()
    text = page_of(report).text
    for part, size in report["bundle"]["parts"].items():
        assert f"{part}: {size:,} bytes" in text
    assert "entropy bound: 63,510 bytes" in text
    assert "bundle: 67,380 bytes" in text
    assert all(word in text for word in ("97.22%", "96.67%", "0.56 points lost", "AMD EPYC 9R14",
                                         "0.5, 0.4, 0.3", "onnxruntime", "2.13.0"))  # fmt: skip


def test_what_could_not_be_measured_is_told() -> None:
    text = page_of(samples.awkward()).text
    assert "no C++ compiler was found" in text
    assert "there was no data to measure it on" in text
    assert "Sparse would win from 80% at batch 1 and 16; at no sparsity tried (up to 98%)" in text


def test_the_chart_marks_the_batch_where_the_winner_changes() -> None:
    assert "dense wins above ≈ 54" in page_of(samples.good()).text
    assert "wins above" not in page_of(samples.awkward()).text


# -- honest --------------------------------------------------------------------------------


def test_a_red_gate_shows_no_speed() -> None:
    report = samples.red()
    text = page_of(report).text
    for cell in report["latency"]:
        assert units.times(cell["speedup"]) not in text
        for entry in cell["engines"].values():
            assert units.duration(entry["median"]) not in text
    assert report["verdict"]["why"] not in text
    assert "c is off by 0.4, where rounding explains 3.1e-05." in text


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (samples.good, "15.8x smaller; sparse in 5 of the 6 combinations of batch and threads, "
         "up to 5.1x as fast as the best dense engine, and dense in the others; accuracy 97.22% "
         "before and 96.67% after."),
        (samples.ahead, "15.8x smaller, and its speed was not measured; accuracy 97.22% before "
         "and 96.67% after."),
        (samples.in_c, "15.8x smaller and 10.5x fewer instructions than dense on cortex-m4 "
         "(emulated); accuracy 97.22% before and 96.67% after."),
        (samples.small, "15.8x smaller; sparse at batch 1 and 16, up to 5.1x as fast as the best "
         "dense engine, and dense at batch 64; accuracy 97.22% before and 96.67% after."),
        (samples.sparse, "15.8x smaller and 5.1x as fast as the best dense engine (onnxruntime) "
         "at batch 1, 1 thread; accuracy 97.22% before and 96.67% after."),
        (samples.awkward, "1.87x smaller, and it runs dense here, as fast as the best dense "
         "engine (torch); accuracy was not measured."),
        (samples.red, "Not fit to ship: the packed network computes something else than the "
         "dense one, beyond what rounding explains. No speed is shown."),
    ],
)  # fmt: skip
def test_the_headline_is_one_plain_sentence(report: Callable[[], Any], sentence: str) -> None:
    assert headline(opened(report())).replace(units.TIMES, "x") == sentence
    assert headline(opened(report())) in page_of(report()).text
