"""The threat model: one page, every line of it tested, every test in a line of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent


def rows(repository: Path) -> list[list[str]]:
    """The numbered lines: number, threat, what holds, tests."""
    page = (repository / "SECURITY.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if row[0].strip().isdigit()]


def existing() -> set[str]:
    """Those of this folder but for these."""
    return {
        node.name
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_line_has_its_tests(repository: Path) -> None:
    lines = rows(repository)
    assert [int(row[0]) for row in lines] == list(range(1, len(lines) + 1))
    named = [re.findall(r"`(test_\w+)`", row[3]) for row in lines]
    assert all(named)
    together = [name for names in named for name in names]
    assert len(together) == len(set(together))
    assert set(together) == existing()


def test_files_that_are_named_exist(repository: Path) -> None:
    page = (repository / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", page))
    own = {name for name in named if "/" not in name}
    assert own | {Path(__file__).name} == {path.name for path in HERE.glob("test_*.py")}
    assert all((repository / name).is_file() for name in named - own)


def test_it_is_one_page(repository: Path) -> None:
    assert len((repository / "SECURITY.md").read_text(encoding="utf-8").splitlines()) < 60
