"""A sweep that is typed again goes on where it was: what is finished is not trained again."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier, Thread

import pytest
import torch
from safetensors.torch import save_file

from pruneflow import runfolder
from pruneflow.report.gathered import collect
from pruneflow.training.finished import finished_runs
from tests.e2e.command import read, run, tiny
from tests.e2e.stub import VERSIONS, DiedError, Stub
from tests.holders import holder

SWEEP = ("train", "recipe=tiny", "-m")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    tiny()
    stub = Stub()
    monkeypatch.setattr("pruneflow.training.job.train", stub)
    monkeypatch.setattr("pruneflow.report.sweep.draw_sweep", lambda curves, path: path.touch())
    return stub


def sweeps() -> list[Path]:
    """Those of this folder, in the order they began."""
    return sorted(Path("outputs/sweeps").iterdir())


def die(stub: Stub, *arguments: str) -> None:
    """A sweep whose process ends as its first job begins."""
    stub.dies = True
    with pytest.raises(DiedError):
        run(*arguments)
    stub.dies = False
    stub.trained.clear()


def test_a_finished_sweep_is_shown_and_not_trained(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SWEEP, "seed=0,1") == 0
    (sweep,) = sweeps()
    before = (sweep / "sweep.json").read_bytes()
    (sweep / "sweep.png").unlink()
    stub.trained.clear()
    assert run(*SWEEP, "seed=0,1") == 0
    assert sweeps() == [sweep]
    assert stub.trained == []
    assert f"Every job is finished: {sweep}. To train all anew: fresh=true" in (
        capsys.readouterr().out
    )
    assert (sweep / "sweep.json").read_bytes() == before
    assert (sweep / "sweep.png").is_file()


def test_what_is_left_of_a_sweep_is_trained_in_its_place(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    die(stub, *SWEEP, "seed=0,1")
    (sweep,) = sweeps()
    assert [job["result"] for job in read(sweep / "sweep.json")["jobs"]] == [None]
    assert run(*SWEEP, "seed=0,1") == 0
    assert stub.trained == [f"{sweep}/0", f"{sweep}/1"]
    said = capsys.readouterr().out
    assert "of 2 jobs 1 to go on with, 1 to begin" in said
    assert f"Continuing {sweep}/0 from the start" in said
    assert [job["result"]["seed"] for job in read(sweep / "sweep.json")["jobs"]] == [0, 1]


def test_a_larger_sweep_takes_over_what_an_earlier_one_has_done(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SWEEP, "seed=0,1") == 0
    die(stub, *SWEEP, "seed=2,3")
    assert run(*SWEEP, "seed=1,2,4") == 0
    finished, died, larger = sweeps()
    assert stub.trained == [f"{died}/0", f"{larger}/2"]
    assert f"Job 0 is finished: {finished}/1" in capsys.readouterr().out
    jobs = read(larger / "sweep.json")["jobs"]
    assert [job["result"]["seed"] for job in jobs] == [1, 2, 4]
    assert [job["run"] for job in jobs] == [f"../{finished.name}/1", f"../{died.name}/0", "2"]
    runs = [finished / "1", died / "0", larger / "2"]
    assert finished_runs(larger) == runs
    assert [row.folder for row in collect([larger])] == runs
    assert len(collect([Path("outputs")])) == 4 + len(list(died.glob("1")))
    stub.trained.clear()
    assert run(*SWEEP, "seed=2,0") == 0
    assert stub.trained == []
    assert [job["result"]["seed"] for job in read(sweeps()[-1] / "sweep.json")["jobs"]] == [2, 0]


def test_fresh_starts_anew_and_goes_on_by_itself(stub: Stub) -> None:
    assert run(*SWEEP, "seed=0,1") == 0
    die(stub, *SWEEP, "seed=0,1", "fresh=true")
    _, fresh = sweeps()
    assert run(*SWEEP, "seed=0,1") == 0, "the newest sweep of these jobs goes on"
    assert stub.trained == [f"{fresh}/0", f"{fresh}/1"]
    assert read(fresh / "0/result.json")["config_hash"] == read(
        sweeps()[0] / "0/result.json"
    )["config_hash"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fresh=true", "ckpt_path=last"), "choose one"),
        (("fresh=maybe",), "fresh=maybe: needs true or false"),
        (("fresh=true", "hydra.sweep.dir=out"), "out holds jobs; fresh=true needs a folder"),
        (("ckpt_path=last",), "nothing to continue: no sweep of these jobs in outputs/sweeps"),
        (("ckpt_path=last", "hydra.sweep.dir=nowhere"), "nothing to continue: no sweep in nowhere"),
    ],
)
def test_what_cannot_be_is_refused(
    words: tuple[str, ...], told: str, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SWEEP, "seed=0", "hydra.sweep.dir=out") == 0
    stub.trained.clear()
    assert run(*SWEEP, "seed=0,1", *words) == 2
    assert told in capsys.readouterr().err
    assert stub.trained == []
    assert not Path("outputs").exists()


def test_a_folder_that_is_named_goes_on_and_no_other_is_looked_at(stub: Stub) -> None:
    assert run(*SWEEP, "seed=0,1") == 0
    assert run(*SWEEP, "seed=0,1", "hydra.sweep.dir=out") == 0
    stub.trained.clear()
    assert run(*SWEEP, "seed=1,0,2", "hydra.sweep.dir=out") == 0
    assert stub.trained == ["out/2"], "jobs are known by what they are, not by their number"


def test_jobs_with_a_seed_of_their_own_go_on_too(stub: Stub) -> None:
    die(stub, *SWEEP, "seed=null", "sparsity=0.5,0.9")
    (sweep,) = sweeps()
    assert run(*SWEEP, "seed=null", "sparsity=0.5,0.9") == 0
    assert stub.trained == [f"{sweep}/0", f"{sweep}/1"]


def test_jobs_that_a_sweeper_chooses_on_its_way_look_for_themselves(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneflow.cli.jobs.sweeps_plainly", lambda config: False)
    assert run(*SWEEP, "seed=0") == 0
    assert run(*SWEEP, "seed=0,1") == 0
    first, second = sweeps()
    assert stub.trained == [f"{first}/0", f"{second}/1"]


def test_results_of_other_versions_and_short_ones_are_called_so(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.status, stub.versions = "incomplete", VERSIONS
    assert run(*SWEEP, "seed=0") == 0
    assert run(*SWEEP, "seed=0,1") == 0
    said = capsys.readouterr().out
    assert f"Job 0 ended early: {sweeps()[0]}/0 (by pruneflow 0.0.1, torch 0.0.2)" in said


def test_what_is_damaged_is_nobodys(stub: Stub) -> None:
    assert run(*SWEEP, "seed=0") == 0
    (first,) = sweeps()
    (first / "sweep.lock.json").write_text("{")
    (first / "0/result.json").write_text("[]")
    assert run(*SWEEP, "seed=0") == 0
    assert stub.trained == [f"{first}/0", f"{sweeps()[1]}/0"]


def test_a_sweep_that_runs_is_left_alone(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    die(stub, *SWEEP, "seed=0,1")
    (running,) = sweeps()
    with holder(running) as sweep, holder(running / "0") as job:
        assert run(*SWEEP, "seed=0,1") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"{running} is in use: process {sweep} on" in said
        assert f"Job 0 trains anew, for {running}/0 is in use: process {job} on" in said
    assert stub.trained == [f"{sweeps()[1]}/{number}" for number in (0, 1)]
    stub.trained.clear()
    with holder(running / "0"):
        assert run("train", f"run={running}/0", "ckpt_path=last") == 2
        assert run(*SWEEP, "seed=0,1", f"hydra.sweep.dir={running}") == 2
    assert f"{running}/0 is in use" in capsys.readouterr().err
    assert stub.trained == [f"{running}/1"]


def test_sweeps_of_the_same_moment_have_folders_of_their_own(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch)
    assert run(*SWEEP, "seed=0") == run(*SWEEP, "seed=1") == run(*SWEEP, "seed=2") == 0
    assert [sweep.name for sweep in sweeps()] == ["then", "then-2", "then-3"]
    for _ in range(2):
        assert run("train", "recipe=tiny") == run("plan", "recipe=tiny") == 0
    for folder in ("outputs/tiny", "outputs/plans/tiny"):
        assert sorted(path.name for path in Path(folder).iterdir()) == ["then", "then-2"]


def freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``${now:...}`` be the same at any time."""
    from hydra.core import utils
    from omegaconf import OmegaConf

    real = utils.setup_globals

    def frozen() -> None:
        real()
        OmegaConf.register_new_resolver("now", lambda pattern: "then", replace=True)

    monkeypatch.setattr(utils, "setup_globals", frozen)


def test_a_new_folder_has_one_owner() -> None:
    made: list[Path] = []
    ready = Barrier(8)

    def make() -> None:
        ready.wait()
        made.append(runfolder.new(Path("a/b")))

    threads = [Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8
    assert sorted(path.name for path in Path("a").iterdir()) == sorted(path.name for path in made)


def test_what_other_weights_began_is_not_reused(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ("model.weights=dense.safetensors",)
    save_file({"fc1.bias": torch.zeros(300)}, "dense.safetensors")
    assert run(*SWEEP, "seed=0,1", *weights) == 0
    save_file({"fc1.bias": torch.ones(300)}, "dense.safetensors")
    assert run(*SWEEP, "seed=0,1", *weights) == 0
    first, second = sweeps()
    assert stub.trained == [f"{sweep}/{job}" for sweep in (first, second) for job in (0, 1)]
    told = f"Changed since {first}: dense.safetensors. Every job is trained anew."
    assert capsys.readouterr().out.count(told) == 1
    assert run("train", f"run={first}/0") == 0
    assert f"Changed since {first}/0 began: dense.safetensors" in capsys.readouterr().out
