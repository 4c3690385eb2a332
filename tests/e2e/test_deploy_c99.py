"""``pruneflow deploy deploy.target=c99``: from a finished run to C that anybody can compile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pruneflow.deploy.c99 import target
from pruneflow.deploy.c99.boards import survey
from tests.deploy.reports import require_sound
from tests.e2e import command
from tests.e2e.command import read, run
from tests.report.pages import require_self_contained, taken

C99 = ("deploy.target=c99", "deploy.goal=size", "deploy.max_accuracy_drop=5")
NAME = "lenet_300_100"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, trained once for all tests."""
    return command.trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def done(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished run, for this test alone; boards are given few inputs."""
    monkeypatch.setattr(target, "SAMPLES", 1)
    shutil.copytree(trained, "done")
    return Path("done")


def test_a_run_becomes_c(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("deploy", "run=done", *C99) == 0
    said = capsys.readouterr().out
    assert "Bundle: done/deploy/bundle.safetensors\nReport: done/deploy/report.html\n" in said
    folder = done / "deploy"
    files = {f"{NAME}.c", f"{NAME}.h", f"{NAME}_test.c"}
    assert {path.name for path in folder.iterdir()} == {
        "bundle.safetensors", "report.html", "report.json", "c99",
    }  # fmt: skip
    assert {path.name for path in (folder / "c99").iterdir()} == files
    report, result = read(folder / "report.json"), read(done / "result.json")
    require_sound(report, folder)
    require_self_contained((folder / "report.html").read_text())
    assert "C99" in taken((folder / "report.html").read_text()).text
    told = report["c99"]
    assert told["name"] == NAME
    parity = told["parity"]
    assert (parity["split"], parity["allowed"]) == ("test", 5)
    assert parity["samples"] > 100
    assert parity["accuracy"]["torch"] == pytest.approx(result["accuracy"]["final"], abs=1e-6)
    drop = 100 * (parity["accuracy"]["torch"] - parity["accuracy"]["c"])
    assert parity["drop"] == pytest.approx(drop, abs=1e-6)
    assert parity["rounding"] <= parity["largest_deviation"]
    header = (folder / "c99" / f"{NAME}.h").read_text()
    assert 'divide by 16, then resize [28, 28], then interpolation "bilinear"' in " ".join(
        line.removeprefix(" *").strip() for line in header.splitlines()
    )


def test_what_is_shipped_compiles_and_passes_its_own_test(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "toolchain_missing", lambda: "not today")
    assert run("deploy", "run=done", *C99, "out=it") == 0
    assert not (done / "deploy").exists()
    for file in Path("it/c99").iterdir():  # nothing else of PruneFlow is needed
        shutil.move(file, file.name)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O2"]
    subprocess.run(["cc", *flags, f"{NAME}.c", f"{NAME}_test.c", "-o", "it/test"], check=True)
    passed = subprocess.run(["it/test"], capture_output=True, text=True, check=False)
    assert (passed.returncode, passed.stderr) == (0, "")
    assert passed.stdout.endswith("\n0 of 4 wrong\n")
    test, begin = Path(f"{NAME}_test.c"), "expected[40] = {\n   "
    text = test.read_text()
    assert begin in text
    test.write_text(text.replace(begin, f"{begin} 9.0f +"))
    subprocess.run(["cc", *flags, f"{NAME}.c", f"{NAME}_test.c", "-o", "it/test"], check=True)
    assert subprocess.run(["it/test"], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("deploy.values=bf16", "deploy.values=bf16: C99 code reads fp32, fp16, int8"),
        ("deploy.device=cuda", "deploy.target=c99 is for processors that compute in fp32"),
        ("deploy.backend=c", "deploy.backend=c: nothing runs with deploy.target=c99"),
        ("deploy.target=c98", "deploy.target: 'c98' is unknown. Did you mean 'c99'?"),
    ],
)
def test_what_cannot_be_is_said(
    done: Path, capsys: pytest.CaptureFixture[str], asked: str, said: str
) -> None:
    words = [word for word in C99 if word.partition("=")[0] != asked.partition("=")[0]]
    assert run("deploy", "run=done", *words, asked) == 2
    assert capsys.readouterr().err.startswith(f"pruneflow: {said}")
    assert not (done / "deploy").exists()


def test_without_a_compiler_nothing_is_written(
    done: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run("deploy", "run=done", *C99) == 2
    assert "install gcc or clang" in capsys.readouterr().err
    assert not (done / "deploy").exists()
