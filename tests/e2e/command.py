"""Drives the real command, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pruneflow.cli import main

TINY = """\
# Two short rounds, then a short fine-tuning.
sparsity: 0.9
modifiers:
  prune: {type: iterative_prune, sparsity: "${sparsity}", fraction: 0.7, every: 1ep, rewind: none}
  finetune: {type: lr, start: prune.start, factor: 0.2}
"""


def tiny(path: str = "recipes/tiny.yaml", text: str = TINY) -> Path:
    """Write a small recipe below the current folder."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def trained(base: Path, *overrides: str, name: str = "done") -> Path:
    """A folder below another one with a finished run of the tiny recipe in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        tiny()
        assert run("train", "recipe=tiny", f"hydra.run.dir={name}", *overrides) == 0
    return base / name


def run(*arguments: str) -> int:
    """The exit code of ``pruneflow ARGUMENTS`` in this process."""
    return main(list(arguments))


def process(
    *arguments: str, env: dict[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """``python -m pruneflow ARGUMENTS`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pruneflow", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        check=False,
    )


def only(pattern: str) -> Path:
    """The one path below the current folder that matches."""
    (found,) = Path().glob(pattern)
    return found


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text())


def lines(path: Path) -> list[Any]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]
