"""What is said of a run whose processes did not all come to their end; and what they are told."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pruneflow.errors import DataError, PlanError, PruneFlowError, ResumeError, TrainingError
from pruneflow.training import launching, ranks
from pruneflow.training.ranks import ENDED, FAILED, FINISHED, RUNNING, Fate, Task
from pruneflow.training.resume import read_lock
from tests.e2e.command import run, tiny

FOLDER = Path("run")
SUMMARY = """\
Root Cause (first observed failure):
[0]:
  time      : 2026-11-23_06:04:24
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 7091)  (SIGKILL)
"""


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Of a run for two processes that never started."""
    tiny()

    def launch(*_: Any) -> None:
        raise TrainingError("not today")

    monkeypatch.setattr("pruneflow.training.job.launch", launch)
    assert run("train", "recipe=tiny", "trainer.devices=2", f"hydra.run.dir={FOLDER}") == 1
    return Task(read_lock(FOLDER), FOLDER, None, "job 3: ", True)


def failure(task: Task, *found: Fate | None, summary: str = "", code: int = 1) -> PruneFlowError:
    task.write()
    (FOLDER / ranks.FOLDER / ranks.LAUNCHER).write_text(summary)
    for rank, fate in enumerate(found):
        if fate is not None:
            path = FOLDER / ranks.FOLDER / f"rank{rank}.json"
            path.write_text(json.dumps(asdict(fate)))
    return launching._failure(task.config, FOLDER, code)


LOST = Fate(FAILED, 41, 8.0, "RuntimeError", "Connection closed by peer")


def test_the_one_that_died_without_a_word_is_named_and_not_who_missed_it(task: Task) -> None:
    error = failure(task, LOST, Fate(RUNNING, 42, 7.0), summary=SUMMARY)
    assert type(error) is TrainingError
    assert str(error) == (
        "rank 1 of 2 (process 42) was killed (SIGKILL), perhaps for want of memory; its log: "
        "run/ranks/rank1.log. To go on: pruneflow train run=run ckpt_path=last"
    )


def test_of_several_the_first_one_is_named(task: Task) -> None:
    own = Fate(FAILED, 42, 7.9, "ValueError", "no such thing\nat all")
    assert "rank 1 of 2 (process 42) broke down: ValueError: no such thing; its log" in str(
        failure(task, LOST, own)
    )
    ended = Fate(ENDED, 41, 7.0)
    assert "rank 0 of 2 (process 41) was asked to end (SIGTERM)" in str(
        failure(task, ended, Fate(FINISHED, 42, 8.0))
    )


@pytest.mark.parametrize("cls", [DataError, PlanError])
def test_a_mistake_of_the_person_is_told_as_it_was(task: Task, cls: type[PruneFlowError]) -> None:
    error = failure(task, Fate(FAILED, 41, 8.0, cls.__name__, "a.yaml:3: no"), Fate(ENDED, 42, 9.0))
    assert type(error) is cls
    assert str(error) == "a.yaml:3: no"


def test_where_none_of_them_began_or_the_launcher_died_its_log_is_named(task: Task) -> None:
    assert "could not start the processes; its log: run/ranks/launcher.log" in str(
        failure(task, None, None)
    )
    error = failure(task, Fate(RUNNING, 41, 8.0), Fate(RUNNING, 42, 9.0), code=-9)
    assert str(error).startswith("torch.distributed.run was killed (SIGKILL)")


def test_a_task_arrives_as_it_was_sent_and_is_checked(task: Task) -> None:
    path = task.write()
    arrived = Task.read(path)
    assert arrived.config.digest == task.config.digest
    assert arrived.config.to_lock() == task.config.to_lock()
    assert arrived == replace(task, config=arrived.config, folder=FOLDER.absolute())
    lock = yaml.safe_load((FOLDER / "run.lock.yaml").read_text())
    assert arrived.config.digest == lock["config_hash"]
    good = path.read_text()
    for old, new, message in (
        ('"lr": 0.05', '"lr": 0.5', "says something else than what was to be done"),
        ('"devices": 2', '"devices": 0', "needs a whole number from 1"),
        ('"home"', '"hime"', "is damaged: KeyError"),
        ("{", "[", "is damaged"),
    ):
        assert old in good
        path.write_text(good.replace(old, new, 1))
        with pytest.raises(PruneFlowError, match=message):
            Task.read(path)


def test_nothing_is_left_of_what_an_earlier_life_told(task: Task) -> None:
    task.write()
    ranks.note(FOLDER, 0, FAILED, ResumeError("no"))
    ranks.tell(FOLDER, {"epoch": 3})
    assert ranks.told(FOLDER) == {"epoch": 3}
    found = ranks.fates(FOLDER, 2)
    assert found[0] is not None
    assert (found[0].kind, found[0].message, found[1]) == ("ResumeError", "no", None)
    task.write()
    assert ranks.told(FOLDER) is None
    assert ranks.fates(FOLDER, 2) == [None, None]
