"""``pruneflow report``: from real runs to a page, and what a hurried person gets wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import run, tiny
from tests.report import samples
from tests.report.pages import require_self_contained, taken


def test_a_sweep_becomes_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    tiny()
    arguments = ("train", "recipe=tiny", "sparsity=0.5,0.9", "-m", "hydra.sweep.dir=out")
    assert run(*arguments) == 0
    capsys.readouterr()
    assert run("report", "out") == 0
    shown = capsys.readouterr().out
    assert "90.00%" in shown
    assert "Page: out/report.html" in shown
    text = Path("out/report.html").read_text()
    require_self_contained(text)
    assert "Accuracy against sparsity" in taken(text).text
    assert run("report", "out") == 0  # its own page may be replaced
    assert run("report", "out/0") == 0
    single = Path("out/0/report.html").read_text()
    require_self_contained(single)
    assert "data:image/png;base64," in single


def test_the_page_goes_where_a_person_expects_it(capsys: pytest.CaptureFixture[str]) -> None:
    samples.put(samples.run_folder(Path("a")), "deploy/report.json", samples.good())
    samples.run_folder(Path("b"))
    for arguments, page in ((["a/deploy"], "a/report.html"), (["a", "b"], "report.html"),
                            (["-o", "new/x.html", "a"], "new/x.html"),
                            (["a", "--output=new"], "new/report.html")):  # fmt: skip
        assert run("report", *arguments) == 0
        assert f"Page: {page}" in capsys.readouterr().out
        assert Path(page).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "report what? For example: pruneflow report outputs"),
        (["nowhere"], "nowhere: no such folder"),
        (["empty"], "empty: no runs in it or below it"),
        (["notes.txt"], "notes.txt: no runs in it"),
        (["damaged"], "result.json: is damaged"),
        (["run", "--nonsense"], "--nonsense"),
        (["run", "-o"], "expected one argument"),
        (["run", "-o", "run/result.json"], "no page of PruneFlow's; choose another: -o FILE"),
        (["run", "-o", "notes.txt/x.html"], "cannot be written"),
        (["run", "-o", "/proc/nowhere/x.html"], "cannot be written"),
    ],
)
def test_a_mistake_is_told_with_its_mend(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("notes.txt").write_text("mine")
    samples.run_folder(Path("run"))
    samples.put(Path("damaged"), "run.lock.yaml", "", "result.json", "{")
    assert run("report", *arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert Path("notes.txt").read_text() == "mine"
    assert not Path("run/report.html").exists()


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "--help") == 0
    assert "pruneflow report outputs" in capsys.readouterr().out
    assert run("--help") == 0
    assert "report" in capsys.readouterr().out
