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
    assert run("plan", "recipe=glob(*,exclude=[block_32,slimming])", "-m") == 0
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
    assert "Error executing job" not in captured.err
    assert "NaN" in captured.err
    assert "failed" in captured.out


def test_jobs_run_side_by_side_with_joblib(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    sweep = ("train", "recipe=tiny", "sparsity=0.5,0.9", "-m", "hydra/launcher=joblib",
             "hydra.launcher.n_jobs=2")  # fmt: skip
    done = process(*sweep)
    assert done.returncode == 0, done.stderr
    assert run(*sweep) == 0
    assert "Every job is finished" in capsys.readouterr().out
    jobs = read(only("outputs/sweeps/*/sweep.json"))["jobs"]
    assert [job["result"]["sparsity"] for job in jobs] == pytest.approx([0.5, 0.9])


@pytest.mark.parametrize(
    ("given", "folder"),
    [("'my sweep'", "my sweep"), ("läufe", "läufe"), ("out/${now:x%Y}", "out/x2*"),
     ("it's", "it's")],
)  # fmt: skip
def test_a_sweep_goes_where_it_is_sent(
    given: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneflow.training.job.train", failing)
    tiny()
    assert run("train", "recipe=tiny", "seed=0,1", "-m", f"hydra.sweep.dir={given}") == 1
    assert [job["job"] for job in read(only(f"{folder}/sweep.json"))["jobs"]] == ["0", "1"]


def test_jobs_are_found_wherever_they_were_put_and_strangers_are_not_jobs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny()
    Path("out/notes").mkdir(parents=True)
    subfolder = "hydra.sweep.subdir=x/${hydra.job.num}"
    arguments = ("recipe=tiny", "seed=0,1", "-m", "hydra.sweep.dir=out", subfolder)
    assert run("train", *arguments) == 0
    jobs = read(Path("out/sweep.json"))["jobs"]
    assert run("train", "run=out") == 2
    assert "it is a sweep, name one of its jobs: run=out/x/0" in capsys.readouterr().err
    assert [job["job"] for job in jobs] == ["x/0", "x/1"]
    assert all(job["result"] for job in jobs)


def test_a_sweep_goes_on_with_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    arguments = ("train", "recipe=tiny", "-m", "hydra.sweep.dir=out")
    assert run(*arguments, "seed=0") == 0
    before = Path("out/0/result.json").read_bytes()
    capsys.readouterr()
    assert run(*arguments, "seed=0,1", "ckpt_path=last") == 0
    assert "Job 0 is finished: out/0" in capsys.readouterr().out
    assert Path("out/0/result.json").read_bytes() == before
    assert [job["result"]["seed"] for job in read(Path("out/sweep.json"))["jobs"]] == [0, 1]
    assert run(*arguments, "seed=2,1", "ckpt_path=last") == 2
    assert "job 0 failed: out/0 holds a run of another configuration: seed" in (
        capsys.readouterr().err
    )


def test_a_sweep_that_never_began_does_not_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    assert run("train", "recipe=tiny", "-m", "seed=0,1", "ckpt_path=last") == 2
    assert "nothing to continue" in capsys.readouterr().err


def test_nothing_is_deleted_from_recipes_that_vary(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "recipe=one_shot,gradual", "~recipe.modifiers.freeze", "-m")
    assert run(*words) == 2
    assert "run a sweep for each recipe" in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_what_is_wrong_with_the_sweep_itself_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    assert run("train", "recipe=tiny", "-m", "seed=0,1", "+hydra.launcher.foo=1") == 2
    assert "unexpected keyword argument 'foo'" in capsys.readouterr().err


def failing(*arguments: object) -> None:
    raise RuntimeError("on purpose")
