"""The benchmarks as one: their page is that of their results; their runner runs what is asked."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as runner
from benchmarks import events, page
from benchmarks.claims import CLAIMS, Claim
from benchmarks.measured import RESULTS, in_turns, spread

CAMPAIGNS = {"bad_input", "branches", "faults", "mutation"}
"""Of the tests, not of the program: commands of their own."""


def claim(name: str, **changes: Any) -> Claim:
    given = {"title": "It", "how": "So.", "words": (name,), "minutes": 1.0} | changes
    return Claim(name, **given)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("benchmarks.claims.RESULTS", tmp_path)
    return tmp_path


def test_the_page_is_made_of_the_results() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "python -m benchmarks page"


def test_every_script_that_can_be_run_is_a_claim(repository: Path) -> None:
    scripts = {
        path.stem
        for path in (repository / "benchmarks").glob("[!_]*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    helpers = {"scale_events"}
    assert {each.words[0] for each in CLAIMS} | helpers == scripts


def test_every_result_is_shown() -> None:
    known = {path.stem for path in RESULTS.glob("*.json")}
    assert known <= {each.name for each in CLAIMS} | CAMPAIGNS
    assert len({each.name for each in CLAIMS}) == len(CLAIMS)


def test_no_script_writes_to_another_file_than_its_claim_says(repository: Path) -> None:
    for each in CLAIMS:
        text = (repository / "benchmarks" / f"{each.words[0]}.py").read_text()
        said = ast.get_docstring(ast.parse(text)) or ""
        assert f"benchmarks.{each.words[0]}" in said, each.name


def test_what_is_there_is_skipped_by_name(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (results / "there.json").write_text("{}")
    run: list[str] = []
    monkeypatch.setattr(runner, "_run", lambda each: run.append(each.name) or 0)
    claims = [claim("there", minutes=120.0), claim("new"), claim("special", needs="a GPU")]
    assert list(runner.measured(claims, again=False)) == []
    said = capsys.readouterr().out
    assert run == ["new"]
    assert "[1/3] there, about 2.0 h: measured already" in said
    assert "special, about 60 s: left out, for it needs a GPU: python -m benchmarks.special" in said
    assert list(runner.measured(claims, again=True)) == []
    assert run == ["new", "there", "new"]


@pytest.mark.parametrize(("writes", "left"), [(False, "old"), (True, "new")])
def test_old_results_come_back_where_there_are_no_new_ones(
    results: Path, monkeypatch: pytest.MonkeyPatch, writes: bool, left: str
) -> None:
    path = results / "it.json"
    path.write_text("old")

    def run(each: Claim) -> int:
        assert not path.exists()
        if writes:
            path.write_text("new")
        return 1

    monkeypatch.setattr(runner, "_run", run)
    assert [each.name for each in runner.measured([claim("it")], again=True)] == ["it"]
    assert path.read_text() == left
    assert [each.name for each in results.iterdir()] == ["it.json"]


def test_what_a_person_breaks_off_leaves_the_old_results(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = results / "it.json"
    path.write_text("old")

    def run(each: Claim) -> int:
        path.write_text("half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_run", run)
    with pytest.raises(KeyboardInterrupt):
        list(runner.measured([claim("it")], again=True))
    assert path.read_text() == "old"


def test_a_claim_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        runner.main(["startupp"])
    assert stopped.value.code == 2
    assert "no claim 'startupp'. Did you mean 'startup'?" in capsys.readouterr().err


def test_the_list_names_every_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{each.name} " in said and each.command in said for each in CLAIMS)


def test_a_claim_without_results_says_so(results: Path) -> None:
    assert page.text([claim("it", needs="a GPU")]).endswith(
        "## It\n\nSo. `python -m benchmarks.it`\n\nNot measured yet; it needs a GPU.\n"
    )


def test_sides_take_turns_and_the_first_turn_warms_up() -> None:
    order: list[str] = []

    def side(name: str) -> Any:
        return lambda: lambda: order.append(name)

    times = in_turns({"a": side("a"), "b": side("b")}, turns=2)
    assert "".join(order) == "abbaab"
    assert {name: len(each) for name, each in times.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize("kind", ["global", "uniform", "2:4"])
def test_all_sides_of_an_event_end_with_as_many_zeros(kind: str) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(events.NETWORKS["LeNet-300-100"]())
        return made[-1]

    found = set()
    for side in events.sides(make)[kind].values():
        work = side()
        work()
        layers = events.layers_of(made[-1])
        found.add(sum(int((layer.weight == 0).sum()) for layer in layers))
    assert found == {133_100 if kind == "2:4" else 212_960}


def test_a_spread_holds_every_turn() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert found == {"median": 2.0, "low": 1.0, "high": 3.0, "turns": [3.0, 1.0, 2.0]}
