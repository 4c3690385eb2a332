"""The frontier benchmark: how many weights its recipes keep, and that runs are not repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import mnist_frontier as benchmark
from benchmarks.training import config_of
from pruneflow.training.planning import preview


@pytest.mark.parametrize(
    ("case", "weights", "times"), [("lenet_300_100", 266_200, 100), ("lenet5", 430_500, 200)]
)
def test_recipes_keep_as_few_weights_as_they_say(
    case: str, weights: int, times: int, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    plan = preview(config_of(benchmark.CASES[case])).plan
    quotas = [event.quota for event in plan.events if event.quota is not None]
    assert weights - quotas[-1].zeros == weights // times


def test_runs_that_are_known_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def measure(overrides: list[str]) -> dict[str, Any]:
        trained.append(overrides[-1])
        return {"seed": int(overrides[-1].removeprefix("seed=")), "test_error": 1.5}

    monkeypatch.setattr(benchmark, "RESULT", tmp_path / "result.json")
    monkeypatch.setattr(benchmark, "measure", measure)
    benchmark.main(["lenet5", "1"])
    benchmark.main(["lenet5"])
    assert trained == ["seed=1", "seed=0", "seed=2"]
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["cases"]["lenet5"]["mean_test_error"] == 1.5
    assert found["cases"]["lenet_300_100"]["mean_test_error"] is None
