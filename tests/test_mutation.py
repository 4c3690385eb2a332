"""The mutants of ``python -m benchmarks.mutation``: all small changes, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.mutation.mutants import Mutant, mutants_of, mutated

CODE = '''\
"""Says 1 < 2."""
LIMIT = 3

def first(numbers: list[int], limit: "Literal[7]" = 5) -> int | None:
    """Not 8 of them."""
    assert limit != 9
    for number in numbers:
        if number < limit and not number % 2:
            return number
        if number > LIMIT:
            raise ValueError(f"{number + 1}", 4)
    return None
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    return mutants_of(tmp_path, "code.py")


def test_the_mutants_are_those_that_a_person_would_list(mutants: list[Mutant]) -> None:
    assert [(mutant.line, mutant.after) for mutant in mutants] == [
        (2, "4"),
        (2, "2"),
        (4, "6"),
        (4, "4"),
        (8, "number < limit or not number % 2"),
        (8, "not (number < limit and (not number % 2))"),
        (8, "number <= limit"),
        (8, "number % 2"),
        (8, "number // 2"),
        (8, "3"),
        (8, "1"),
        (9, "return None"),
        (10, "number >= LIMIT"),
        (10, "not number > LIMIT"),
        (11, "pass"),
    ]


def test_a_mutant_is_the_program_with_one_change(tmp_path: Path, mutants: list[Mutant]) -> None:
    for mutant in mutants:
        names: dict[str, object] = {}
        exec(mutated(tmp_path, mutant), names)
        assert mutant.before in " ".join(ast.unparse(ast.parse(CODE)).split())
        assert callable(names["first"])
    assert (tmp_path / "code.py").read_text(encoding="utf-8") == CODE


def test_what_the_change_says_is_what_it_does(tmp_path: Path, mutants: list[Mutant]) -> None:
    (odd,) = (mutant for mutant in mutants if mutant.after == "number % 2")
    names: dict[str, object] = {}
    exec(mutated(tmp_path, odd), names)
    assert names["first"]([2, 3]) == 3  # type: ignore[operator]
