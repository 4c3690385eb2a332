"""What the report gets to know of boards, and why it may not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pruneflow.deploy.c99.boards import survey as surveying
from pruneflow.deploy.c99.boards.cpus import CPUS
from pruneflow.deploy.c99.boards.survey import survey
from pruneflow.errors import DeployError
from tests.deploy.c99.arm import (
    DENSE,
    TINY,
    assembly,
    expected,
    needs_compiler,
    needs_emulator,
    some_inputs,
    written,
)

M4 = CPUS["cortex-m4"]
ABSENT = "found no such thing"


@needs_emulator
def test_a_network_is_measured_on_every_processor() -> None:
    inputs = some_inputs(4)
    wanted = expected(inputs)
    wanted[0] = -wanted[0]  # one of another class
    dense = written(DENSE, folder="dense")
    found = survey(written(TINY), inputs, wanted, 12, dense)
    told = json.loads(json.dumps(found.to_json()))
    assert told.keys() == {"flash", "boards"}
    flash = told["flash"]
    assert flash["cpu"] == "cortex-m4"
    assert "-Os" in flash["flags"].split()
    assert flash["tool"].startswith("arm-none-eabi-gcc ")
    assert (flash["sparse"]["values"], flash["dense"]["values"]) == (5, 48)
    assert flash["ram"] == {"workspace": 12, "static": 0, "stack": found.boards[1].run.stack_bytes}
    machines = [(board["cpu"], board["machine"]) for board in told["boards"]]
    assert machines == [
        ("cortex-m0plus", "mps2-an385 (cortex-m3)"),
        ("cortex-m4", "mps2-an386"),
        ("cortex-m7", "mps2-an500"),
    ]
    assert {(board["samples"], board["agrees"]) for board in told["boards"]} == {(4, 3)}
    assert told["boards"][1]["flash"] == flash["sparse"]["total"]
    assert all(board["instructions"] > 50 < board["dense_instructions"] for board in told["boards"])


@needs_emulator
def test_a_machine_that_is_too_small_is_left_out() -> None:
    inputs = some_inputs(1)
    big = TINY + "const unsigned char big_values[5 << 20] = {1};"
    told = survey(written(big), inputs, expected(inputs), 12, cpus=(M4,)).to_json()
    assert told.keys() == {"flash", "boards_absent"}
    assert told["boards_absent"].startswith("cortex-m4: ")
    dense = written(DENSE + "const unsigned char big_values[5 << 20] = {1};", folder="dense")
    (board,) = survey(written(TINY), inputs, expected(inputs), 12, dense, (M4,)).boards
    assert "dense_instructions" not in board.to_json()


@needs_emulator
def test_a_network_that_faults_is_not_shipped() -> None:
    with pytest.raises(DeployError, match="the network faulted"):
        survey(assembly("udf #0"), np.zeros((1, 1), np.float32), np.zeros((1, 1)), 4)


@needs_compiler
def test_without_an_emulator_there_is_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "emulator_missing", lambda: ABSENT)
    told = survey(written(TINY), some_inputs(), expected(some_inputs()), 12).to_json()
    assert told.keys() == {"flash", "boards_absent"}
    assert told["boards_absent"] == ABSENT
    assert told["flash"]["ram"] == {"workspace": 12, "static": 0}
    assert "dense" not in told["flash"]


def test_without_a_compiler_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "toolchain_missing", lambda: ABSENT)
    told = survey(written(TINY), some_inputs(), expected(some_inputs()), 12).to_json()
    assert told == {"boards_absent": ABSENT}


@pytest.mark.parametrize(
    ("outputs", "wanted", "agreeing"),
    [
        ([[0, 2], [3, 1]], [[0, 1], [0, 1]], 1),
        ([[np.nan, 2], [np.inf, 1]], [[1, 0], [1, 0]], 0),
        ([[1.0004], [1.1], [np.nan]], [[1], [1], [1]], 1),
    ],
)
def test_what_agrees(outputs: list[object], wanted: list[object], agreeing: int) -> None:
    assert surveying._agreeing(np.array(outputs), np.array(wanted)) == agreeing
