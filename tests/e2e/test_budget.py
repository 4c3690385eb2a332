"""``budget.max_drop``: one command finds the sparsest network that loses no more than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pruneflow import runfolder
from pruneflow.holding import held
from pruneflow.training import resume
from tests.e2e.command import only, read, run, tiny
from tests.e2e.stub import DiedError, Stub

SEARCH = ("train", "recipe=tiny", "budget.max_drop=1", "budget.runs=3")


class Oracle:
    """Stands in for ``training.job.train``: networks are good up to a sparsity of 0.7."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.points: list[tuple[int, ...]] = []
        self.dies_at = ""
        self.logged = "val_accuracy"

    def __call__(
        self, config: Any, folder: Path, console: Any, watch: Any, common: Any
    ) -> dict[str, Any]:
        with held(folder):
            config, _ = resume.begin(config, folder, console)
            self.trained.append(folder.name)
            self.points.append(common.points)
            if folder.name == self.dies_at:
                raise DiedError
            sparsity = 0.0 if folder.name == "dense" else float(folder.name)
            score = 0.9 if sparsity <= 0.7 else 0.85
            history = [{"step": 9, self.logged: score, "val_loss": 1.0}]
            runfolder.write_json_lines(folder / runfolder.HISTORY, history)
            scores = {"dense": 0.8, "pruned": 0.7, "final": score - 0.01}
            result = Stub().result(config) | {"steps": 9, "sparsity": sparsity, "accuracy": scores}
            runfolder.write_json(folder / runfolder.RESULT, result)
            return result


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    tiny()
    oracle = Oracle()
    monkeypatch.setattr("pruneflow.training.job.train", oracle)
    return oracle


def test_a_search_is_told_as_a_table_and_a_picture(
    oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SEARCH) == 0
    assert oracle.trained == ["dense", "0.9000", "0.6838", "0.8222"]
    said = " ".join(capsys.readouterr().out.split())
    assert "Sparsest within 1 points on validation data: 68.38%. Test accuracy 89.00%" in said
    assert "0.9000 90.00% 85.00% 5.00 84.00% beyond" in said
    assert "0.6838 68.38% 90.00% 0.00 89.00% chosen" in said
    summary = read(only("outputs/sweeps/*/budget.json"))
    assert summary["chosen"] == "0.6838"
    assert [each["is_within"] for each in summary["tried"]] == [True, False, True, False]
    assert only("outputs/sweeps/*/budget.png").stat().st_size > 1000
    assert all(points for points in oracle.points[:2]), "dense training is shared"


def test_a_search_that_was_killed_goes_on(
    oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    oracle.dies_at = "0.6838"
    with pytest.raises(DiedError):
        run(*SEARCH)
    oracle.dies_at, oracle.trained = "", []
    assert run(*SEARCH) == 0
    assert oracle.trained == ["0.6838", "0.8222"]
    oracle.trained = []
    assert run(*SEARCH) == 0
    assert oracle.trained == []
    only("outputs/sweeps/*")
    assert run(*SEARCH, "seed=1") == 0
    assert len(oracle.trained) == 4
    assert len(list(Path("outputs/sweeps").iterdir())) == 2
    capsys.readouterr()


def test_none_may_be_good_enough(oracle: Oracle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "recipe=tiny", "budget.max_drop=0", "budget.runs=1") == 1
    assert "No network that was tried is within 0 points of dense." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-m",), "is one search; leave out -m"),
        (("sparsity=0.5",), "searches for the sparsity; leave 'sparsity=' out"),
        (("ckpt_path=last",), "cannot begin from ckpt_path"),
        (("seed=null",), "compares networks of one seed"),
        (("recipe=fine_tune_only",), "recipe 'fine_tune_only' does not use a sparsity"),
        (("recipe=set",), "prunes nothing, so there is nothing to grow back"),
        (("budget.max_drop=-1",), "budget.max_drop=-1: needs points"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    words: tuple[str, ...], told: str, oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SEARCH, *words) == 2
    assert told in capsys.readouterr().err
    assert oracle.trained == []
    assert not Path("outputs").exists()


def test_it_selects_on_validation_data_or_not_at_all(
    oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    oracle.logged = "val_error"
    assert run(*SEARCH) == 1
    assert "no accuracy on it was logged at the end" in capsys.readouterr().err
