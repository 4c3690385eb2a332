"""What a stranger wrote is shown, in a terminal and in a browser, and never obeyed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pruneflow.cli import main
from pruneflow.cli.console import PlainConsole
from pruneflow.report.sweep import summarize
from tests.report.pages import require_self_contained
from tests.report.samples import run_folder

EVIL = "<script>x</script>\x1b]0;x\x07\x1b[2J\u202e[link=file:///etc]x[/link]$\\frac{"


@pytest.mark.parametrize("key", ["recipe", "model", "data", "control", "status"])
def test_a_report_shows_and_does_not_obey(key: str, capfd: pytest.CaptureFixture[str]) -> None:
    run_folder(Path("sent/0"), **{key: EVIL})
    assert main(["report", "sent"]) == 0
    page = Path("sent/report.html").read_text()
    require_self_contained(page)
    assert "<script>x" not in page
    shown = capfd.readouterr()
    assert not set("\x1b\x07\u202e") & set(shown.out + shown.err)


def test_a_sweep_shows_and_does_not_obey() -> None:
    for job in (0, 1):
        folder = run_folder(Path(f"sent/{job}"), recipe=EVIL, sparsity=0.5 + job / 10)
        (folder / "run.lock.yaml").write_text("name: x\n")
        (folder / ".hydra").mkdir()
        (folder / ".hydra/overrides.yaml").write_text(f'- "+a={job}\\e[2J$$"\n')
    stream = io.StringIO()
    summarize(Path("sent"), PlainConsole(file=stream, force_terminal=False))
    assert not set("\x1b\x07\u202e") & set(stream.getvalue())
    assert Path("sent/sweep.png").is_file()


def test_an_error_shows_and_does_not_obey(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["report", EVIL], ["recipes", "show", EVIL], ["cache", EVIL]):
        assert main(words) == 2
    assert not set("\x1b\x07\u202e") & set(capfd.readouterr().err)


@pytest.mark.parametrize("number", ["1e308", "-1e308", "NaN", "Infinity", f"1{'0' * 400}", "null"])
def test_no_number_breaks_a_report(number: str) -> None:
    """It is drawn, or it is named as damage."""
    file = run_folder(Path("sent/0")) / "result.json"
    text = file.read_text()
    assert '"sparsity": 0.9' in text
    file.write_text(text.replace('"sparsity": 0.9', f'"sparsity": {number}'))
    assert main(["report", "sent"]) in (0, 2)


def test_a_report_replaces_no_file_but_its_own() -> None:
    run_folder(Path("sent"))
    Path("sent/report.html").write_text("mine")
    assert main(["report", "sent"]) == 2
    assert Path("sent/report.html").read_text() == "mine"
