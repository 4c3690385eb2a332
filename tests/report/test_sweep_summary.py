"""The end of a sweep, over results that others may have spoiled."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from pruneflow import runfolder
from pruneflow.cli.console import PlainConsole
from pruneflow.report.sweep import summarize
from tests.report.samples import put, run_folder

SPOILED: list[dict[str, Any]] = [
    {"recipe": None}, {"seed": "one"}, {"steps": []}, {"sparsity": True}, {"control": 1},
    {"compression": {}}, {"compression": {"bytes": "few"}}, {"accuracy": {"final": "good"}},
    {"accuracy": {"dense": [1]}},
]  # fmt: skip


@pytest.mark.parametrize("spoiled", SPOILED, ids=str)
def test_a_job_whose_result_is_unlike_one_has_failed(spoiled: dict[str, Any]) -> None:
    (key,) = spoiled
    run_folder(Path("sweep/0"), **spoiled)
    text = told()
    assert "job 0 failed: sweep/0/result.json: " in text
    assert key in text
    assert "is damaged: needs" in text


def test_a_damaged_result_hides_no_other_job() -> None:
    put(Path("sweep/0"), "run.lock.yaml", "name: x\n", "result.json", "no JSON at all")
    run_folder(Path("sweep/1"), recipe="mine")
    text = told()
    assert "job 0 failed: sweep/0/result.json: is damaged" in text
    assert "mine" in text
    jobs = runfolder.read_json(Path("sweep/sweep.json"))["jobs"]
    assert [job["result"] is None for job in jobs] == [True, False]


@pytest.mark.parametrize("absent", ["dense", "pruned", "final"])
def test_a_score_that_is_not_known_is_left_out(absent: str) -> None:
    folder = run_folder(Path("sweep/0"))
    result = runfolder.read_json(folder / "result.json")
    del result["accuracy"][absent]
    runfolder.write_json(folder / "result.json", result)
    assert "failed" not in told()


def told() -> str:
    stream = io.StringIO()
    summarize(Path("sweep"), PlainConsole(file=stream, force_terminal=False, width=200))
    return stream.getvalue()
