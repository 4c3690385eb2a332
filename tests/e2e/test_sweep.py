"""Sweeps: one table, one picture; a job that fails, fails alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import only, process, read, run, tiny


def test_a_sweep_ends_in_a_table_and_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=0.5,0.9", "-m") == 0
    summary = read(only("outputs/sweeps/*/sweep.json"))
    assert [job["result"]["sparsity"] for job in summary["jobs"]] == pytest.approx([0.5, 0.9])
    assert only("outputs/sweeps/*/sweep.png").stat().st_size > 5_000
    assert "90.00%" in capsys.readouterr().out


def test_flags_may_stand_before_overrides() -> None:
    tiny()
    assert run("plan", "-m", "recipe=tiny", "sparsity=0.5,0.9") == 0
    assert len(list(Path().glob("outputs/plans/tiny/*/plan.json"))) == 2


def test_every_recipe_can_be_swept(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "recipe=glob(*)", "-m") == 0
    out = capsys.readouterr().out
    assert all(f"plan {name} " in out for name in ("gradual", "lenet_imp", "lottery", "one_shot"))


def test_no_job_starts_when_one_point_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=0.5,1.5", "-m") == 2
    assert "sparsity=1.5" in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_a_job_that_diverges_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=0.5", "optimizer.lr=1e30,0.05", "-m") == 1
    jobs = read(only("outputs/sweeps/*/sweep.json"))["jobs"]
    assert [job["result"] is None for job in jobs] == [True, False]
    captured = capsys.readouterr()
    assert "job 0 failed" in captured.err
    assert "NaN" in captured.err
    assert "failed" in captured.out


def test_jobs_run_side_by_side_with_joblib() -> None:
    tiny()
    done = process("train", "recipe=tiny", "sparsity=0.5,0.9", "-m", "hydra/launcher=joblib",
                   "hydra.launcher.n_jobs=2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs = read(only("outputs/sweeps/*/sweep.json"))["jobs"]
    assert [job["result"]["sparsity"] for job in jobs] == pytest.approx([0.5, 0.9])
