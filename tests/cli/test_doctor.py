"""The doctor: says what there is and what brings the rest, and never falls ill itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from pruneflow.cli.doctor import command, machine, packages, places
from pruneflow.cli.doctor.finding import Finding, examined
from pruneflow.deploy.backends import BACKENDS
from tests.e2e.command import run, tiny


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import nothing to see whether it can be imported."""
    monkeypatch.setattr(packages, "_broken", lambda module: None)


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Pretend that these versions are installed, or that nothing is."""
    found = {name.replace("_", "-"): text for name, text in versions.items()}
    real = packages._version
    monkeypatch.setattr(
        packages, "_version", lambda name: found[name] if name in found else real(name)
    )


def by_name(found: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in found}


def test_a_person_sees_all_of_it(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tiny()
    assert run("doctor") == 0
    said = capsys.readouterr().out
    for word in ("torch", version("torch"), "trainer=gpu", "logger=wandb", "data=cifar10", "tiny",
                 "C compiler", "onnxruntime", "triton", *BACKENDS):  # fmt: skip
        assert word in said
    assert max(map(len, said.splitlines())) <= 80


def test_every_requirement_is_looked_at_once(quick: None) -> None:
    declared = [Requirement(text) for text in requires("pruneflow") or ()]
    core = {r.name for r in declared if r.marker is None}
    assert {finding.name for finding in packages.core()} == core
    assert all(finding.state == "good" for finding in packages.core())
    more = {r.name for r in declared if r.marker and "dev" not in str(r.marker)}
    assert {finding.name for finding in packages.optional()} == more | {"triton", "lightning"}
    extras = {found for r in declared for found in re.findall(r'extra == "(\w+)"', str(r.marker))}
    assert set(packages.FEATURES) == extras - {"dev"}, "a new extra brings what?"


def test_what_is_absent_comes_with_the_command_that_brings_it(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, wandb=None, triton=None, onnx=None)
    found = by_name(packages.optional())
    assert found["wandb"].note == "logger=wandb: pip install 'pruneflow[wandb]'"
    assert found["onnx"].note.endswith("pip install 'pruneflow[deploy]'")
    assert found["triton"].note.endswith("pip install triton")
    assert {found[name].state for name in ("wandb", "triton", "onnx")} == {"absent"}


@pytest.mark.parametrize(
    ("versions", "says", "code"),
    [
        ({"wandb": None}, "pip install 'pruneflow[wandb]'", 0),
        ({"wandb": "0.1"}, "needs >=0.19", 0),
        ({"torch": None}, "pip install 'torch>=2.6'", 1),
        ({"torch": "1.13.1"}, "needs >=2.6", 1),
        ({"pytorch_lightning": "2.6.3"}, "pytorch-lightning here is MALWARE", 1),
        ({"lightning": "2.6.2"}, "lightning here is MALWARE", 1),
    ],
    ids=str,
)
def test_only_a_broken_core_is_a_failure(
    versions: dict[str, str | None], says: str, code: int, quick: None,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "120")
    installed(monkeypatch, **versions)
    assert run("doctor") == code
    assert says in capsys.readouterr().out


def test_malware_is_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, pytorch_lightning="2.6.2", lightning="2.6.3")
    imported: list[str] = []
    monkeypatch.setattr(packages, "import_module", imported.append)
    monkeypatch.setattr(machine, "trainers", lambda: pytest.fail("imports Lightning"))
    monkeypatch.setattr(places, "plugins", lambda: pytest.fail("may import Lightning"))
    assert [title for title, _ in command.sections()] == ["Needed", "Brings more", "Recipes"]
    assert not {"lightning", "pytorch_lightning"} & {*imported}
    assert "torch" in imported


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("no\nlibrary"), "ImportError: no"),
        (RuntimeError(), "RuntimeError"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_broken_package_is_reported_with_its_message(
    error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(module: str) -> None:
        raise error

    monkeypatch.setattr(packages, "import_module", fail)
    found = by_name(packages.optional())["onnxruntime"]
    assert found.state == "bad"
    assert found.note == f"cannot be imported: {said}"


def test_a_look_that_breaks_off_is_a_finding() -> None:
    def look() -> Iterable[Finding]:
        yield Finding("first")
        raise OSError("gone")

    assert examined("Data", look) == [Finding("first"), Finding("Data", "", "bad", "OSError: gone")]


def test_backends_speak_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str | None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(BACKENDS["c"], "missing", broken)
    monkeypatch.setattr(BACKENDS["onnxruntime"], "missing", lambda: "not installed: pip install x")
    found = by_name(machine.engines())
    assert found["c"] == Finding("c", "", "bad", "RuntimeError: no such instruction")
    assert found["onnxruntime"].note == "not installed: pip install x"
    assert found["torch"].state == "good"


def test_data_is_looked_for_where_a_run_would(monkeypatch: pytest.MonkeyPatch) -> None:
    from pruneflow.zoo.mnist import MNIST

    assert by_name(places.data_sets())["data=mnist"].note.startswith("not in data/MNIST/raw")
    folder = Path("mine/MNIST/raw")
    folder.mkdir(parents=True)
    for index, name in enumerate(MNIST.files.checksums):
        (folder / (name if index else f"{name}.gz")).touch()
    monkeypatch.setenv("PRUNEFLOW_DATA", "mine")
    assert by_name(places.data_sets())["data=mnist"] == Finding("data=mnist", str(folder))
    monkeypatch.setenv("PRUNEFLOW_DATA", "yours")
    assert by_name(places.data_sets())["PRUNEFLOW_DATA"].state == "bad"


def test_plugins_are_named_and_broken_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def point(name: str, load: Any, group: str = "pruneflow.criteria") -> Any:
        return SimpleNamespace(name=name, group=group, load=load)

    points = [point("taylor", int), point("sick", lambda: 1 / 0), point("other", int, "pytest11")]
    package = SimpleNamespace(name="words", version="1.0", entry_points=points)
    monkeypatch.setattr(places, "distributions", lambda: [package])
    assert list(places.plugins()) == [
        Finding("taylor", "words 1.0", "good", "pruneflow.criteria"),
        Finding("sick", "words 1.0", "bad",
                "pruneflow.criteria: ZeroDivisionError: division by zero"),
    ]  # fmt: skip


def test_it_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--help") == 0
    assert "usage: pruneflow doctor" in capsys.readouterr().out
    assert run("doctor", "all") == 2
