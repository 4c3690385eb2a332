"""What the report of C99 code says, on its page and in the terminal."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pruneflow.report import deploy_page, units
from pruneflow.report.c99_charts import MOST_KEYS
from pruneflow.report.c99_words import against
from pruneflow.report.deploy_table import deploy_table
from tests.report import samples
from tests.report.pages import require_self_contained, taken

PAGE = Path("report.html")
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    """The sample, after something was done to what it says of the code."""
    report = samples.in_c()
    change(report["c99"])
    return report


def page(report: dict[str, Any]) -> str:
    """The words of the page; of several spaces, one."""
    deploy_page.write(report, PAGE)
    text = PAGE.read_text(encoding="utf-8")
    require_self_contained(text)
    return " ".join(taken(text).text.replace(units.TIMES, "x").split())


def shown(report: dict[str, Any]) -> list[str]:
    """The lines on a terminal of 80 columns."""
    stream = io.StringIO()
    Console(file=stream, width=80, color_system=None).print(deploy_table(report))
    lines = stream.getvalue().replace(units.TIMES, "x").splitlines()
    return [line.rstrip() for line in lines if line.strip()]


# -- complete ------------------------------------------------------------------------------


def test_every_number_is_on_the_page() -> None:
    text, code = page(samples.in_c()), samples.code()
    for layer in code["layers"]:
        row = [f"{layer['rows']} x {layer['columns']}", layer["layout"], layer["values"]]
        sizes = layer["bytes"].values()
        row += [f"{n:,}" for n in (layer["stored"], *sizes, sum(sizes))]
        assert f"{layer['name']} {' '.join(row)}" in text
    assert (
        "cortex-m0plus mps2-an385 (cortex-m3), QEMU 7.2 30,710 2,132 19 of 20 3,288,113 33,052,521 "
        "10.1x cortex-m4 mps2-an386, QEMU 7.2 30,660 1,736 20 of 20 127,195 1,337,180 10.5x"
    ) in text
    for kind in ("dense", "sparse"):
        for part in ("values", "index", "scales", "bias", "code"):
            assert f"{kind} {part}: {code['flash'][kind][part]:,} bytes" in text
    assert "relu1: 1,200 bytes at 0, from step 1 to 2" in text
    assert "relu2: 400 bytes at 1,200, from step 2 to 3" in text
    assert "RAM 1,600 bytes of workspace, 0 static, 44 of stack" in text
    assert "of the caller 3,136 for the input and 40 for the output (bytes)" in text
    assert "Not run on every board: cortex-m7: the network takes more flash" in text
    assert all(file in text for file in code["files"].values())


def test_parity_is_told_in_sentences() -> None:
    assert (
        "Accuracy 96.53% in torch and 96.56% in C on 10,000 test samples: 0.03 points gained; 0.5 "
        "points are allowed. The largest deviation of an output is 2.1e-05. The same class for "
        "9,998 of 10,000."
    ) in page(samples.in_c())
    unlabelled = changed(lambda code: [code["parity"].pop(key) for key in ("split", "accuracy")])
    assert (
        "The largest deviation of an output is 2.1e-05 on 10,000 samples. The same class for "
        "9,998 of 10,000."
    ) in page(unlabelled)


def test_the_terminal_tells_it_in_eighty_columns() -> None:
    assert shown(samples.in_c()) == [
        "size          67,380 bytes of 1,066,440 dense: 15.8x smaller; entropy bound",
        "              63,510",
        "accuracy      97.22% before and 96.67% after",
        "flash         30,660 bytes on cortex-m4, 34.8x less than dense (1,066,696);",
        "              1,736 more of libraries",
        "RAM           1,600 bytes of workspace, 0 static, 44 of stack",
        "instructions  3,288,113 a sample on cortex-m0plus, 10.1x fewer than dense",
        "              127,195 a sample on cortex-m4, 10.5x fewer than dense",
        "parity        accuracy 96.53% in torch, 96.56% in C; largest deviation 2.1e-05",
        "verdict       15.8x smaller and 10.5x fewer instructions than dense on cortex-m4",
        "              (emulated); accuracy 97.22% before and 96.67% after.",
        "              written as C99; nothing was timed here",
    ]


# -- nothing is invented -------------------------------------------------------------------

WORDS = {
    "flash": ("34.8x less", "Inside the flash", "flash by"),
    "boards": ("127,195 1,337,180 10.5x", "Instructions 10", "instructions by"),
    "boards_absent": ("Not run on every board",),
    "parity": ("96.53%", "deviation", "same class for"),
    "memory": ("relu1", "for the input"),
    "layers": ("300 x 784 gaps8", "Layers as arrays"),
    "files": ("lenet_imp.h",),
}  # fmt: skip


@pytest.mark.parametrize(
    "absent", [keys for count in (1, len(WORDS)) for keys in combinations(WORDS, count)]
)
def test_what_is_not_known_is_not_told(absent: tuple[str, ...]) -> None:
    text = page(changed(lambda code: [code.pop(key) for key in absent]))
    for key, words in WORDS.items():
        for word in words:
            assert (word in text) == (key not in absent), (key, word)
    assert "C99" in text
    assert "Latency Not measured." in text


@given(st.data())
@settings(max_examples=30)
def test_any_part_may_be_missing(data: st.DataObject) -> None:
    report = samples.in_c()
    holders = [report["c99"]]
    while holders:
        holder = holders.pop()
        for key in [key for key in holder if data.draw(st.integers(0, 3)) == 0]:
            del holder[key]
        inner = [value for value in holder.values() if isinstance(value, dict | list)]
        holders += [value for value in inner if isinstance(value, dict)]
        holders += [one for value in inner if isinstance(value, list) for one in value]
    assert "None" not in page(report)
    assert "None" not in " ".join(shown(report))


def test_without_instructions_the_headline_says_that_nothing_was_measured() -> None:
    assert "and its speed was not measured" in page(changed(lambda code: code.pop("boards")))


def test_other_reports_say_nothing_of_it() -> None:
    assert "C99" not in page(samples.ahead())
    assert not [line for line in shown(samples.good()) if line.startswith(("flash", "parity"))]


def test_a_red_gate_shows_no_instructions() -> None:
    report = samples.in_c()
    report["gate"]["passed"] = False
    assert "127,195" not in page(report)
    assert "flash" not in " ".join(shown(report))


@given(st.floats(1, 1e15), st.floats(1, 1e15))
def test_what_takes_more_than_dense_is_not_called_less(value: float, dense: float) -> None:
    text = against(value, dense, "less")
    assert text.endswith("less" if value <= dense else "more")
    assert not text.startswith("0")


def test_more_buffers_than_a_key_holds_are_told_by_pointing_at_them() -> None:
    def many(code: dict[str, Any]) -> None:
        (one, _) = code["memory"]["buffers"]
        code["memory"]["buffers"] = [
            copy.deepcopy(one) | {"name": f"buffer{n}", "offset": 1200 * n}
            for n in range(MOST_KEYS + 1)
        ]

    text = page(changed(many))
    assert "buffer7: 1,200 bytes at 8,400" in text
    assert "buffer7: 1.20 kB" not in text
    assert "relu1: 1.20 kB" in page(samples.in_c())
