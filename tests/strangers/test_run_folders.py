"""Run folders of strangers: nothing is written or read through a link that leads out of one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pruneflow import runfolder
from pruneflow.cli import main
from pruneflow.errors import ResumeError
from pruneflow.holding import CLAIM, held
from pruneflow.training.finished import finished_runs, open_run
from pruneflow.untrusted import require_confined
from tests.strangers.canary import sparse

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def victim() -> Path:
    """A file of the person's, outside the folder ``sent``."""
    Path("home").mkdir()
    Path("home/precious").write_text("precious")
    Path("sent").mkdir()
    Path("sent/run.lock.yaml").write_text("name: x\n")
    return Path("home/precious").absolute()


def is_untouched(victim: Path) -> bool:
    return victim.read_text() == "precious" and list(victim.parent.iterdir()) == [victim]


NAMES = [
    CLAIM, "checkpoints", "logs", "deploy", "journal.jsonl", "result.json.part", "tensorboard",
    "deep/er/still", "wandb", ".hydra",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "relative"])
def test_no_link_leads_out_of_a_run(victim: Path, name: str, kind: str) -> None:
    link = Path("sent", name)
    link.parent.mkdir(parents=True, exist_ok=True)
    targets = {"file": victim, "folder": victim.parent, "dangling": victim.parent / "new"}
    link.symlink_to(targets.get(kind) or os.path.relpath(victim, link.parent))
    with pytest.raises(ResumeError, match=f"{link}: is a link out of the run's folder"):
        require_confined(Path("sent"))
    with pytest.raises(ResumeError, match="is a link out"), held(Path("sent")):
        pass
    assert is_untouched(victim)


def test_a_claim_is_never_written_through_a_link(
    victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the link comes after the check."""
    monkeypatch.setattr("pruneflow.holding.require_confined", lambda folder: None)
    Path("sent", CLAIM).symlink_to(victim)
    with pytest.raises(OSError), held(Path("sent")):  # noqa: PT011 (the system's own error)
        pass
    assert is_untouched(victim)


def test_links_inside_a_run_are_its_own() -> None:
    Path("sent/a").mkdir(parents=True)
    Path("sent/b").symlink_to("a")
    Path("sent/latest").symlink_to(Path("sent/a").absolute())
    Path("again").symlink_to("sent")
    require_confined(Path("again"))


def test_a_file_is_not_written_through_its_temporary_name(victim: Path) -> None:
    path = Path("sent/result.json")
    runfolder.temporary(path).symlink_to(victim)
    runfolder.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert is_untouched(victim)


def test_a_file_is_not_written_through_a_link(victim: Path) -> None:
    Path("sent/result.json").symlink_to(victim)
    runfolder.write_bytes(Path("sent/result.json"), b"new")
    assert not Path("sent/result.json").is_symlink()
    assert is_untouched(victim)


@pytest.mark.parametrize("command", ["train run=sent ckpt_path=last", "deploy run=sent"])
def test_no_command_works_through_a_link(
    victim: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("sent/checkpoints").symlink_to(victim.parent)
    if "deploy" in command:
        Path("sent/result.json").write_text("{}")
        assert main(command.split()) == 2
        assert "sent/checkpoints: is a link out" in capfd.readouterr().err
    else:
        assert main(command.split()) == 2
    assert is_untouched(victim)


@pytest.mark.parametrize("home", ["../../../home", "/etc", "../../..", "\0", 3, ["a"]])
def test_a_job_is_not_elsewhere(home: object) -> None:
    import json

    Path("home").mkdir()
    Path("home/result.json").write_text("{}")
    place = Path("sweeps/sent/0")
    place.mkdir(parents=True)
    (place / ".job").write_text(json.dumps({"home": home, "failure": None}))
    assert runfolder.jobs(Path("sweeps/sent")) == [place]
    with pytest.raises(ResumeError):
        finished_runs(Path("sweeps/sent"))


def test_a_job_may_be_in_the_sweep_before() -> None:
    for place, home in (("sweeps/a/0", None), ("sweeps/b/0", Path("sweeps/a/0"))):
        runfolder.mark_job(Path(place), home)
    assert runfolder.jobs(Path("sweeps/b")) == [Path("sweeps/a/0")]


FILES: dict[str, Callable[[Path], object]] = {
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "sparse": sparse,
    "link": lambda path: path.symlink_to(Path("home/precious").absolute()),
    "loop": lambda path: path.symlink_to(path.name),
    "folder": lambda path: path.mkdir(),
    "deep": lambda path: path.write_text("[" * 100_000),
    "digits": lambda path: path.write_text('{"a": ' + "9" * 10_000 + "}"),
}


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.parametrize("name", ["result.json", "run.lock.yaml"])
def test_no_file_is_read_without_end(victim: Path, kind: str, name: str) -> None:
    path = Path("sent", name)
    path.unlink(missing_ok=True)
    FILES[kind](path)
    began = time.process_time()
    from pruneflow.training.resume import read_lock

    with pytest.raises(ResumeError) as told:
        runfolder.read_json(path) if name.endswith("json") else read_lock(Path("sent"))
    assert time.process_time() - began < 3
    assert "precious" not in str(told.value).replace("home/precious", "")


def test_opening_a_run_reads_no_link_out_of_it(victim: Path) -> None:
    Path("sent/result.json").write_text("{}")
    Path("sent/pruned.safetensors").symlink_to(victim)
    with pytest.raises(ResumeError, match=r"pruned.safetensors: is a link out"):
        open_run(Path("sent"))


def test_a_report_finds_no_run_through_a_link(capfd: pytest.CaptureFixture[str]) -> None:
    Path("home/run").mkdir(parents=True)
    Path("home/run/result.json").write_text('{"recipe": "private"}')
    Path("sent").mkdir()
    Path("sent/all").symlink_to(Path("home").absolute())
    Path("sent/loop").symlink_to(".")
    assert main(["report", "sent"]) == 2
    assert "private" not in capfd.readouterr().err
