"""What the pages say of a deployed network is true of its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.measure.crossover import PROBES
from pruneflow.report import deploy_page, deploy_tables, units
from pruneflow.report.deploy_view import opened
from pruneflow.report.deploy_words import MOST_TRIED, headline, reasons
from pruneflow.report.record import Record
from tests.report import samples
from tests.report.pages import taken


def said(report: dict[str, Any]) -> str:
    return headline(opened(report)).replace(units.TIMES, "x")


def sentences(**verdict: Any) -> list[str]:
    report = samples.awkward()
    report["verdict"] |= {"why": None} | verdict
    return reasons(opened(report))


def limit(sparsity: float | None, batch: int, threads: int = 1) -> dict[str, Any]:
    return {"sparsity": sparsity, "batch": batch, "threads": threads}


@given(st.lists(st.booleans(), min_size=1, max_size=4), st.floats(0.1, 0.9))
def test_dense_is_as_fast_as_the_best_only_where_it_is_the_best(
    best: list[bool], slow: float
) -> None:
    report = samples.explicit(slow)
    (fast, slower) = report["latency"][1], report["latency"][0]
    report["latency"] = [(fast if one else slower) | {"batch": 2**n} for n, one in enumerate(best)]
    assert ("runs dense here, as fast as the best dense engine" in said(report)) == all(best)
    assert (f"{slow:.2f}x" in said(report)) == (not all(best))


def test_a_slower_dense_engine_comes_with_its_ratio() -> None:
    report = samples.explicit(0.57)
    assert "it runs dense here (torch and onnxruntime), 0.57x to 1.00x as fast as" in said(report)
    del report["latency"][1]
    assert ("it runs dense here (torch), 0.57x as fast as the best dense engine (onnxruntime) "
            "at batch 1, 1 thread;") in said(report)  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ([limit(0.8, 16), limit(None, 64)],
         "from 80% at batch 16; at no sparsity tried (up to 98%) at batch 64"),
        ([limit(0.8, 1), limit(0.8, 16)], "from 80% at batch 1 and 16"),
        ([limit(0.8, 1), limit(0.8, 1, 2)],
         "from 80% at batch 1 with 1 thread; from 80% at batch 1 with 2 threads"),
        ({"sparsity": 0.83, "batch": 1}, "from 83% at batch 1"),
    ],
)  # fmt: skip
def test_every_cell_tells_from_where_on_sparse_would_win(limits: Any, words: str) -> None:
    assert sentences(wins_from=limits) == [f"Sparse would win {words}."]


@pytest.mark.parametrize("nothing", [None, []])
def test_what_was_not_tried_is_not_told(nothing: Any) -> None:
    assert sentences(wins_from=nothing) == []


def test_the_largest_sparsity_tried_is_that_of_deploy() -> None:
    assert max(PROBES) == MOST_TRIED


def test_a_network_that_is_no_graph_says_who_could_not_take_part() -> None:
    for is_graph in (True, False):
        told = " ".join(reasons(opened(samples.good() | {"graph": is_graph})))
        assert ("ONNX Runtime could not take part" in told) == (not is_graph)


@given(st.booleans(), st.floats(0, 1), st.floats(0, 1))
def test_only_the_gate_judges(passed: bool, error: float, bound: float) -> None:
    entry = {"error": error, "bound": bound, "passed": passed}
    page = taken(deploy_tables.gate(Record({"engines": {"c": entry}}, "gate")))
    classes = {name for _, given in page.tags for name in given.get("class", "").split()}
    assert ("bad" in classes) == (not passed)
    assert ("\nno\n" in page.text, "\nyes\n" in page.text) == (not passed, passed)
    report = samples.red()
    report["gate"]["engines"] = {"c": entry}
    assert any(why.startswith("c is off by") for why in reasons(opened(report))) == (not passed)


@pytest.mark.parametrize("agrees", [True, False])
def test_an_engine_that_does_not_agree_is_not_hidden_by_a_green_gate(agrees: bool) -> None:
    report = samples.good()
    report["gate"]["engines"]["torch_csr"] |= {"passed": agrees}
    told = "does not agree is neither timed nor chosen" in page_of(report)
    assert told == (not agrees)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_page_says_what_its_numbers_are(precision: str) -> None:
    report = samples.good()
    report["gate"]["reference"] = precision
    text = page_of(report)
    assert f"against a reference in {precision}" in text
    assert "Error and bound are those of the output that came nearest to its bound." in text
    assert "A number is the median of one turn, of up to 16 calls in a row" in text
    assert "Raw samples" not in text
    timed = report["latency"][0]["engines"]["c"]
    assert f"10th to 90th percentile {timed['low']:g} to {timed['high']:g}" in text


def page_of(report: dict[str, Any]) -> str:
    deploy_page.write(report, Path("report.html"))
    return taken(Path("report.html").read_text(encoding="utf-8")).text


def test_a_layer_tells_what_runs_it_and_what_is_fastest_alone() -> None:
    layer = samples.layer("fc", "linear", [4, 4], 0.5, layout="rice") | {
        "backend": "in the network", "fastest_alone": "by itself", "why": "the reason"}  # fmt: skip
    assert ends(layer) == ["in the network", "by itself", "the reason"]
    assert ends(layer | {"fastest_alone": None}) == ["in the network", "-", "the reason"]
    del layer["fastest_alone"]
    assert ends(layer) == ["-", "in the network", "the reason"]


def ends(layer: dict[str, Any]) -> list[str]:
    page = taken(deploy_tables.layers(Record({"layers": [layer]}, "report.json")))
    assert "\nruns on\nfastest alone\n" in page.text
    return page.texts[-4:-1]
