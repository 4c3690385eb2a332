"""The linter and the type checker are part of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = {
    "lint": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "types": ["mypy", "--cache-dir", "{tmp}"],
}


@pytest.mark.parametrize("tool", list(TOOLS))
def test_the_tool_has_nothing_to_say(tool: str, repository: Path, tmp_path: Path) -> None:
    command = [word.format(tmp=tmp_path) for word in TOOLS[tool]]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
