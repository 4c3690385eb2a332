"""The wheel has everything in it: the command works from it, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder


def test_the_command_works_from_a_wheel_in_an_empty_folder(repository: Path) -> None:
    (wheel,) = WheelBuilder(str(repository)).build(directory=str(Path("dist").absolute()))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall("site")
    empty = Path("empty")
    empty.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path("site").absolute())}

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pruneflow", *arguments],
            cwd=empty, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import pruneflow; print(pruneflow.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", where], cwd=empty, env=env, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()).is_relative_to(Path("site").absolute())
    assert "lottery" in command("recipes", "list")
    assert "pruneflow plan" in command("init", "mine")
    assert "mine/recipes/mine.yaml: good" in command("recipes", "check", "mine/recipes/mine.yaml")
    assert "plan gradual" in command("plan", "recipe=gradual", "sparsity=0.5")
    assert list(empty.glob("outputs/plans/gradual/*/plan.png"))
