"""The GPU benchmark, rehearsed without a GPU: what it keeps, what it survives, how it judges."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from math import isclose
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import pretend_workers

pytest.importorskip("triton")

from benchmarks import gpu_kernels
from benchmarks.gpu import (
    attend,
    cases,
    floors,
    goals,
    limits,
    measure,
    picture,
    results,
    table,
    timing,
)
from benchmarks.gpu.engine import Engine, Made, Right
from benchmarks.gpu.machine import Rehearsal, Run

FACTS = {**pretend_workers.MACHINE, "copied_bytes_per_second": 1e12}


def call(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, so that kernels run in the interpreter there."""
    command = [sys.executable, "-m", "benchmarks.gpu_kernels", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def row(kind: str, took: float, **more: Any) -> dict[str, Any]:
    """An engine's row whose every mode took so many microseconds."""
    quantiles = {"p10": took, "p50": took, "p90": took, "calls": 9}
    return {"kind": kind, **dict.fromkeys(timing.NETWORK_MODES, quantiles), **more}


def cell(case: cases.Case, **rows: dict[str, Any]) -> dict[str, Any]:
    """A cell with such rows."""
    named = {name.replace("_", " "): found for name, found in rows.items()}
    return {**vars(case), "rows": named, "chosen_to_best_dense": 1.0}


# -- the command ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rehearsal_measures_everything_once(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    only = "64x128 blocks|tiny MLP"
    asked = ("--rehearse", "--out", str(out), "--only", only)
    done = call(repository, *asked)
    assert done.returncode == 0, done.stderr
    assert "everything is measured" in done.stdout
    machine = json.loads(out.read_text())["machines"][0]
    assert machine["machine"]["is_rehearsal"]
    assert len(machine["cells"]) == 2
    assert len(machine["goals"]) == len(list(goals.every()))
    for found in machine["cells"].values():
        rows = found["rows"]
        assert {"dense", "ours", "floor"} <= {each["kind"] for each in rows.values()}
        modes = timing.LAYER_MODES if found["kind"] == "layer" else timing.NETWORK_MODES
        for each in rows.values():
            if "failed" not in each:
                assert set(modes) - set(each) <= {"graph", "warm", "graph_wall"}
                assert each["eager"]["p10"] <= each["eager"]["p50"] <= each["eager"]["p90"]
        assert found["chosen"] in rows
        assert "sell" not in rows or rows["sell"]["limits"]["bytes"] > 0
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    before = out.read_bytes()
    again = call(repository, *asked)
    assert again.returncode == 0, again.stderr
    assert "everything is measured" in again.stdout
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is no GPU"),
        (("--out", "found.json"), "there is no GPU"),
        (("--rehearse",), "a rehearsal is no result"),
        (("table", "--out", "found.json"), "nothing is measured yet"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    arguments: tuple[str, ...], words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = sorted(gpu_kernels.RESULTS.iterdir())
    assert gpu_kernels.main(list(arguments)) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert sorted(gpu_kernels.RESULTS.iterdir()) == before


# -- what goes wrong -----------------------------------------------------------------------


@pytest.mark.slow
def test_what_dies_fails_or_hangs_is_noted_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "work", pretend_workers.unlucky)
    path = tmp_path / "found.json"
    attendant = attend.Attendant(results.Results(path), minutes=10, silence=6.0)
    assert attendant.attend()
    machine = json.loads(path.read_text())["machines"][0]
    assert set(machine["cells"]) == {"first", "second"}
    broken = machine["broken"]["second"]
    assert list(broken) == ["dies", "fails", "hangs"]
    assert "died" in broken["dies"]
    assert "illegal memory access" in broken["fails"]
    assert "6 seconds" in broken["hangs"]


@pytest.mark.slow
def test_when_the_time_is_over_what_is_finished_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "work", pretend_workers.slow)
    monkeypatch.setattr(attend, "GRACE", 0.0)
    path = tmp_path / "found.json"
    begun = time.monotonic()
    assert not attend.Attendant(results.Results(path), minutes=0.1).attend()
    assert time.monotonic() - begun < 60
    machine = json.loads(path.read_text())["machines"][0]
    assert set(machine["cells"]) == {"first"}
    assert machine["broken"] == {}


def test_what_is_measured_again_forgets_what_broke(tmp_path: Path) -> None:
    file = results.Results(tmp_path / "found.json")
    known = file.of(FACTS)
    known["cells"] = {"sell 1": {}, "sell 2": {}, "bsr 1": {}}
    known["broken"] = {"sell 1": {"sell": "hung"}, "bsr 1": {"bsr": "hung"}}
    assert attend.Attendant(file, 1.0)._begin(FACTS)[0] == {"sell 1", "sell 2", "bsr 1"}
    again = attend.Attendant(file, 1.0, only="sell", again=True)
    finished, broken, seconds = again._begin(FACTS)
    assert finished == {"bsr 1"}
    assert broken == {"bsr 1": {"bsr": "hung"}}
    assert 0 < seconds <= 60
    known["broken"]["sell 2"] = {"sell": "died"}
    again.measured.add("sell 1")
    finished, broken, _ = again._begin(FACTS)
    assert finished == {"bsr 1", "sell 1"}
    assert broken["sell 2"] == {"sell": "died"}


class Pretended:
    """A cell of the engines that are given; the right outputs are ones."""

    right = Right(torch.ones(2, 3), torch.full((2, 3), 0.1))

    def __init__(self, engines: list[Engine]) -> None:
        self._engines = engines

    def engines(self) -> list[Engine]:
        return self._engines


def returning(value: float) -> Callable[[], Made]:
    return lambda: Made({"only": lambda: torch.full((2, 3), value)}, moved=1000, stored=6)


def refusing() -> Made:
    raise RuntimeError("no\n room")


def some_variants() -> Made:
    def fails() -> torch.Tensor:
        raise RuntimeError("out of shared memory")

    return Made({"large": fails, "small": lambda: torch.ones(2, 3)}, moved=1000, stored=6)


def measured(
    monkeypatch: pytest.MonkeyPatch, engines: list[Engine], broken: Mapping[str, str]
) -> dict[str, Any]:
    monkeypatch.setattr(measure, "cell_of", lambda case, machine: Pretended(engines))
    case = cases.layer("16x32", cases.RANDOM, 0.9, 2)
    return measure.measure(case, Rehearsal(), FACTS, 1.0, broken, lambda engine: None)


def test_an_engine_that_fails_is_a_row_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = [
        Engine("right", "dense", returning(1.05)),
        Engine("wrong", "ours", returning(1.2)),
        Engine("refusing", "sparse", refusing),
        Engine("nothing", "ours", lambda: Made({"only": lambda: torch.full((2, 3), torch.nan)})),
        Engine("shorter", "ours", lambda: Made({"only": lambda: torch.ones(2, 2)})),
        Engine("broken", "ours", returning(1.0)),
        Engine("some variants", "ours", some_variants),
    ]
    rows = measured(monkeypatch, engines, {"broken": "not a word"})["rows"]
    assert list(rows) == [*(engine.name for engine in engines), "launch floor"]
    assert {name for name in rows if "eager" in rows[name]} == {
        "right", "some variants", "launch floor",
    }  # fmt: skip
    assert rows["wrong"]["failed"] == "only: it is wrong: 2 times as far off as rounding explains"
    assert rows["refusing"]["failed"] == "RuntimeError: no room"
    assert "it is wrong" in rows["nothing"]["failed"]
    assert "(2, 2), not (2, 3)" in rows["shorter"]["failed"]
    assert rows["broken"]["failed"] == "not a word"
    assert rows["some variants"]["variant"] == "small"
    assert "shared memory" in rows["some variants"]["failed_variants"]["large"]
    assert rows["right"]["limits"]["bytes"] == 0.001


def test_a_cell_that_broke_as_a_whole_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, [], {"timing": "its process died"})
    assert found["failed"] == "timing: its process died"
    assert "rows" not in found


# -- time and choice -----------------------------------------------------------------------


class Watched(Rehearsal):
    """A machine whose calls take what they return, in microseconds."""

    seconds = 100e-6
    most_calls = 8

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def flush(self) -> None:
        self.calls.append("flush")

    def timed(self, run: Run) -> Callable[[], float]:
        took = run()
        return lambda: took


def test_engines_take_turns_in_both_orders_and_slow_ones_sit_out() -> None:
    machine = Watched()

    def engine(name: str, took: float) -> timing.Runs:
        def run() -> float:
            machine.calls.append(name)
            return took

        return timing.Runs(run, None)

    engines = {"a": engine("a", 1.0), "b": engine("b", 50.0), "c": engine("c", 2.0)}
    found = timing.timed(machine, engines, "eager")
    assert {name: len(samples) for name, samples in found.items()} == {"a": 8, "b": 5, "c": 8}
    assert set(found["b"]) == {50.0}
    warm_up, timed = machine.calls[:3], machine.calls[3:]
    assert warm_up == ["a", "b", "c"]
    assert timed[::2] == ["flush"] * (len(timed) // 2)
    assert "".join(timed[1::2]) == "abccbaabccbaabc" + "ca" + "ac" + "ca"
    assert timing.timed(machine, engines, "graph") == {}


def test_the_calls_that_judge_a_choice_did_not_make_it() -> None:
    kinds = {"dense": "dense", "ours": "ours", "smaller": "smaller"}
    lucky = {"dense": [10.0] * 6, "ours": [5.0, 12.0] * 3, "smaller": [1.0] * 6}
    found = measure.choice({"graph": lucky}, kinds)
    assert found == {"chosen": "ours", "chosen_to_best_dense": 1.2}


def test_dense_is_kept_unless_another_saves_enough() -> None:
    kinds = {"dense": "dense", "faster dense": "dense", "ours": "ours"}
    for took, chosen in ((9.6, "faster dense"), (9.4, "ours")):
        samples = {"dense": [12.0] * 4, "faster dense": [10.0] * 4, "ours": [took] * 4}
        assert measure.choice({"graph": samples}, kinds)["chosen"] == chosen


def test_quantiles_are_those_of_all_calls() -> None:
    found = timing.summary([float(i) for i in range(100, -1, -1)])
    assert found == {"p10": 10.0, "p50": 50.0, "p90": 90.0, "calls": 101}


# -- limits --------------------------------------------------------------------------------


def test_limits_are_what_a_hand_computes() -> None:
    h100 = limits.DEVICES["NVIDIA H100 80GB HBM3"]
    assert limits.floors(h100, "bf16", 335_000_000, 0, 1)["bytes"] == 100.0
    dense = limits.floors(h100, "bf16", 0, 4096 * 4096, 2048)
    assert dense["flops"] == round(2 * 4096**2 * 2048 / 989e12 * 1e6, 3) == 69.484
    plain = limits.Cost(9.0, is_tensor=False)
    assert limits.floors(h100, "bf16", 0, 3_300_000, 2, plain)["decode"] == 2.0
    tensor = limits.Cost(1.125, is_tensor=True)
    for batch in (1, 16):
        assert limits.floors(h100, "bf16", 0, 1_650_000, batch, tensor)["decode"] == 1.0
    unknown = limits.peaks("a card of tomorrow", 2e12)
    assert limits.floors(unknown, "bf16", 4_000_000, 7, 1, plain) == {"bytes": 2.0}


def test_the_ratio_of_the_floors_is_that_of_the_numbers_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(floors, "CASES", (("bitmask", cases.RANDOM, 0.9, 1),))
    assert gpu_kernels.main(["floors"]) == 0
    head, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert len(rows) == 2
    for line in rows:
        _, *numbers = line.strip("| ").split(" | ")[1:]
        bits, moved, each, decoding, products, dense, gain = map(float, numbers)
        assert len(head.split("|")) == len(line.split("|"))
        assert each > 0
        assert 1 < bits < 16  # a bit for each weight, and a tenth of the values
        assert gain == pytest.approx(dense / max(moved, decoding, products), rel=0.01)


def test_instructions_come_from_the_nearest_count(tmp_path: Path) -> None:
    path = tmp_path / "resources.json"
    half = {
        "1024x2048 batch 1: 0 gemv": {"cost": 9.0, "tensor": False},
        "1024x2048 batch 16: 0 spmm": {"cost": 2.5, "tensor": True},
        "1024x2048 batch 16: 1 add": {"cost": 96, "tensor": False},
    }
    single = {"1024x2048 batch 16: 0 spmm": {"cost": 4.0, "tensor": False}}
    counted = {"sm_90 bfloat16": half, "sm_90 float32": single}
    path.write_text(json.dumps({"3.7.1": {"sell": counted}}))

    def cost(kernel: str, arch: str, dtype: str, batch: int) -> limits.Cost | None:
        return limits.cost_of(kernel, arch, dtype, batch, "3.6.0", path)

    assert cost("sell", "sm_90", "bf16", 1) == limits.Cost(9.0, False)
    assert cost("sell", "sm_90", "bf16", 64) == limits.Cost(2.5, True)
    assert cost("sell", "sm_90", "fp32", 1) == limits.Cost(4.0, False)
    assert cost("sell", "sm_80", "bf16", 1) is None
    assert cost("bsr", "sm_90", "bf16", 1) is None
    assert limits.cost_of("sell", "sm_90", "bf16", 1, "3.6.0", tmp_path / "none.json") is None


# -- goals, tables, pictures ---------------------------------------------------------------


def judged(*cells: dict[str, Any]) -> dict[str, dict[str, Any]]:
    named = {cases.Case(**{key: found[key] for key in vars(CASE)}).title: found for found in cells}
    return {goal["goal"]: goal for goal in goals.judged(named)}


CASE = cases.layer(cases.SQUARE, cases.RANDOM, 0.9, 1)
WHAT = "unstructured 90%, batch 1, 4096x4096: to cuBLAS"


@pytest.mark.parametrize(
    ("rows", "reached", "verdict"),
    [
        ({"cublas": row("dense", 21.1), "sell": row("ours", 10.0)}, 2.11, "pass"),
        ({"cublas": row("dense", 20.9), "sell": row("ours", 10.0)}, 2.09, "fail"),
        ({"cublas": row("dense", 30.0), "sell": row("ours", 10.0, failed="wrong")}, None, "fail"),
        ({"sell": row("ours", 10.0)}, None, "not measured"),
    ],
)
def test_a_goal_is_passed_missed_or_not_measured(
    rows: dict[str, Any], reached: float | None, verdict: str
) -> None:
    goal = judged(cell(CASE, **rows))[WHAT]
    assert (goal["reached"], goal["verdict"], goal["wanted"]) == (reached, verdict, "at least 2.1")


def test_nothing_measured_reaches_nothing() -> None:
    assert {goal["verdict"] for goal in judged().values()} == {"not measured"}


def test_a_goal_of_many_cells_is_judged_by_the_worst() -> None:
    def whole(sparsity: float, fused: float) -> dict[str, Any]:
        rows = {
            "torch.compile": row("dense", 30.0), "fused": row("ours", fused),
            "kernels by layer": row("ours", 99.0), "launch floor": row("floor", 2.0),
        }  # fmt: skip
        return cell(cases.network("LeNet-5", sparsity, 1), **rows)

    found = judged(whole(0.9, 2.5), whole(0.5, 3.2))
    floor = found["LeNet-5, batch 1: times the launch floor"]
    assert (floor["reached"], floor["verdict"], floor["cells"]) == (1.6, "fail", "2 of 5")
    compiled = found["LeNet-5, batch 1: to torch.compile"]
    assert (compiled["reached"], compiled["verdict"]) == (9.375, "pass")


def test_the_limit_of_bytes_is_that_of_the_fastest_kernel() -> None:
    case = cases.layer(cases.HUGE, cases.RANDOM, 0.9, 1)
    slow = row("ours", 50.0, limits={"bytes": 49.0})
    fast = row("ours", 40.0, limits={"bytes": 33.0, "decode": 39.0})
    found = judged(cell(case, bitmask=slow, sell=fast))
    assert found["unstructured 90%, batch 1, 8192x28672: share of the bytes' limit"] == {
        "goal": "unstructured 90%, batch 1, 8192x28672: share of the bytes' limit",
        "wanted": "at least 0.8", "reached": 0.825, "verdict": "pass", "cells": "1 of 1",
    }  # fmt: skip


def made_up() -> dict[str, Any]:
    """A machine on which some win, some lose, and some fail."""
    rows = {"cublas": row("dense", 10.0), "launch floor": row("floor", 2.0)}
    won = cell(CASE, **rows, sell=row("ours", 4.0), cusparse_csr=row("sparse", 900.0))
    lost = cell(cases.layer(cases.SQUARE, cases.RANDOM, 0.5, 64), **rows, sell=row("ours", 20.0))
    failed = {**vars(cases.layer(cases.HUGE, cases.BLOCKS, 0.9, 1)), "failed": "timing: it died"}
    absent = cell(cases.layer(cases.SQUARE, cases.SEMI, 0.5, 1), **rows)
    net = cell(cases.network("LeNet-5", 0.98, 16), torch=row("dense", 9.0), fused=row("ours", 3.0))
    found = [won, lost, failed, absent, net]
    return {"machine": FACTS, "cells": {str(i): each for i, each in enumerate(found)}}


def test_losses_and_failures_stay_in_the_table() -> None:
    text = table.of(made_up())
    assert "| 4096x4096 | unstructured | 90% | bf16 | 2.50 sell |  |" in text
    assert "| 4096x4096 | unstructured | 50% | bf16 |  | 0.50 sell |" in text
    assert "| 8192x28672 | blocks 64x64 | 90% | bf16 | failed |  |" in text
    assert "| LeNet-5 | unstructured | 98% | bf16 | 3.00 fused |" in text
    assert "nan" not in text


@pytest.mark.parametrize("machine", [made_up(), {"machine": FACTS, "cells": {}}])
def test_a_picture_is_drawn_of_much_and_of_nothing(machine: dict[str, Any], tmp_path: Path) -> None:
    path = picture.draw(machine, tmp_path / "found.png")
    assert path.read_bytes().startswith(b"\x89PNG")


# -- cells and their file ------------------------------------------------------------------


def test_cells_with_goals_come_first_and_no_two_are_called_alike() -> None:
    every = cases.every()
    assert len({case.title for case in every}) == len(every)
    first = list(cases.with_goals())
    assert every[: len(first)] == first
    wanted = {case for goal in goals.every() for case in goal.cases}
    assert wanted <= set(every)
    assert {case for case in wanted if case.kind == "layer"} <= set(first)


def test_masks_are_what_they_are_called() -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = cases.mask(cases.BLOCKS, (256, 640), 0.1, generator)
    tiles = blocks.view(4, 64, 10, 64).movedim(2, 1).flatten(2)
    assert torch.equal(tiles.any(2), tiles.all(2))
    assert int(tiles.all(2).sum()) == 4
    semi = cases.mask(cases.SEMI, (8, 32), 0.5, generator)
    assert (semi.view(8, 8, 4).sum(2) == 2).all()
    kept = int(cases.mask(cases.RANDOM, (1000, 1000), 0.1, generator).sum())
    assert isclose(kept, 100_000, abs_tol=5 * (1e6 * 0.1 * 0.9) ** 0.5)  # five deviations


def test_only_the_same_machine_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "found.json"
    file = results.Results(path)
    assert file.latest is None
    file.of(FACTS)["cells"]["first"] = {}
    file.of({**FACTS, "triton": "3.7.1"})["cells"]["second"] = {}
    file.write()
    again = results.Results(path)
    assert again.latest is not None
    assert set(again.latest["cells"]) == {"second"}
    assert set(again.of({**FACTS, "copied_bytes_per_second": 2e12})["cells"]) == {"first"}
    assert again.latest["machine"] == FACTS
    assert [each.name for each in path.parent.iterdir()] == ["found.json"]


# -- on a GPU ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_a_gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A few cells, measured."""
    out = tmp_path_factory.mktemp("gpu") / "found.json"
    only = (
        "1024x1024 .* 50% bf16 batch (1|64)$",
        "1024x1024 blocks 64x64 90% bf16 batch 16$",
        "LeNet-300-100 .* 90% bf16 batch 1$",
    )
    asked = ["--out", str(out), "--only", "|".join(only), "--minutes", "5"]
    assert gpu_kernels.main(asked) == 0
    return json.loads(out.read_text())["machines"][0]


@pytest.mark.gpu
def test_every_engine_of_ours_and_cublas_passes_on_a_gpu(on_a_gpu: dict[str, Any]) -> None:
    assert len(on_a_gpu["cells"]) == 8
    for found in on_a_gpu["cells"].values():
        for name, each in found["rows"].items():
            if each["kind"] in ("dense", "ours", "floor"):
                refused = str(each.get("failed", "")).startswith("the weight:")
                assert refused or "failed" not in each, (found["name"], name, each)


@pytest.mark.gpu
def test_no_engine_is_faster_than_its_limit_on_a_gpu(on_a_gpu: dict[str, Any]) -> None:
    limited = [
        each
        for found in on_a_gpu["cells"].values()
        for each in found["rows"].values()
        if "limits" in each
    ]
    assert limited
    for each in limited:
        least = [each["limits"][name] for name in ("bytes", "flops") if name in each["limits"]]
        assert results.figure(each) >= max(least)


@pytest.mark.gpu
def test_nothing_is_faster_than_a_launch_on_a_gpu(on_a_gpu: dict[str, Any]) -> None:
    for found in on_a_gpu["cells"].values():
        floor = found["rows"]["launch floor"]["warm"]["p10"]
        for each in found["rows"].values():
            assert "warm" not in each or each["warm"]["p50"] >= floor
