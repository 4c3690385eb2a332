"""The campaign of bad input, in small: whatever is wrong is refused in plain words."""

from __future__ import annotations

import sys

import pytest

from tests.bad_input import bundles, lines, recipes
from tests.bad_input.bundle_mutants import Mutant as Bundle
from tests.bad_input.bundle_mutants import seeds
from tests.bad_input.campaign import campaign
from tests.bad_input.judging import ACCEPTED, REFUSED, WRONG, Answer, Verdict, answer
from tests.bad_input.recipe_accidents import wholes
from tests.bad_input.recipe_mutants import Mutant
from tests.e2e.command import process

FEW = {"recipes": 25, "lines": 20, "bundles": 150}
MANY = {"recipes": 300, "lines": 150, "bundles": 2000}
REAL = 24


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneflow.report.pictures.draw_plan", lambda plan, path: None)


@pytest.mark.parametrize("name", list(FEW))
def test_bad_input_is_refused_in_plain_words_or_right(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "wholes", lambda: [])
    found = campaign(name, FEW[name], 1)
    assert found.wrong == []
    assert found.counts[REFUSED] > FEW[name] / 4


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MANY))
def test_much_bad_input_is_refused_in_plain_words_or_right(name: str) -> None:
    assert campaign(name, MANY[name], 2).wrong == []


@pytest.mark.slow
def test_the_real_command_says_what_it_says_in_this_process() -> None:
    refused = [words for words in lines.mutants(3 * REAL, 3) if lines.judged(words).kind == REFUSED]
    for words in refused[:REAL]:
        done = process(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert "Traceback" not in done.stderr


# -- the judge itself ----------------------------------------------------------------------


def test_the_judge_sees_what_is_wrong() -> None:
    def crashes(words: object) -> int:
        raise KeyError("x")

    def leaves(words: object) -> int:
        sys.exit("bad")

    assert answer([], crashes).verdict().kind == WRONG
    assert answer([], leaves).verdict().kind == WRONG
    assert answer(["recipes", "chek"]).verdict().kind == REFUSED
    assert answer(["--version"]).verdict().kind == ACCEPTED
    for wrong in (
        Answer(1, "", "broken"), Answer(2, "", ""), Answer(2, "", "\x1b[2J"),
        Answer(2, "", "Traceback (most recent call last)"), Answer(2, "", "x" * 100_000),
    ):  # fmt: skip
        assert wrong.verdict().kind == WRONG


def test_a_complaint_at_another_line_is_wrong() -> None:
    text = b"length: 9ep\nmodifiers:\n  p: {type: prune, sparsity: 2}\n"
    for line, kind in ((2, WRONG), (3, REFUSED)):
        mutant = Mutant("", {"my.yaml": text}, (f"my.yaml:{line}: ",), True)
        assert recipes.judged(mutant).kind == kind
    right = Mutant("", {"my.yaml": text.replace(b"2}", b"0.5}")}, ("my.yaml:3: ",), True)
    assert recipes.judged(right) == Verdict(WRONG, "it is found good")


def test_other_numbers_than_the_specifications_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Bundle("", seeds()[1])
    assert bundles.judged(right).kind == ACCEPTED
    read = bundles.reference.read
    twice = {name: 2 * tensor for name, tensor in read(right.data).items()}
    monkeypatch.setattr(bundles.reference, "read", lambda data: twice)
    assert bundles.judged(right).kind == WRONG


def test_the_same_seed_makes_the_same_input() -> None:
    for kind in (recipes, lines, bundles):
        assert list(kind.mutants(5, 7)) == list(kind.mutants(5, 7))
    names = [mutant.what for mutant in wholes()]
    assert len(names) > 80
