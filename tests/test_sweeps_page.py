"""The page about sweeps is true: its commands compose, and its launchers are those there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruneflow.cli.arguments import parse
from pruneflow.cli.jobs import Composer
from pruneflow.cli.launchers import launcher_of
from pruneflow.recipe.complaints import PLUGINS

ABSENT = ("hydra/launcher=ray", "hydra.launcher.ray.", "+hydra.launcher.ray.", "hydra/sweeper=",
          "hydra.sweeper.", "sparsity=interval")  # fmt: skip
"""Words of plugins that the tests do not install."""

LAUNCHERS = {
    "basic": "BasicLauncher",
    "joblib": "JoblibLauncher",
    "submitit_local": "LocalLauncher",
    "submitit_slurm": "SlurmLauncher",
    "cluster": "SlurmLauncher",
}


def page() -> str:
    return (Path(__file__).resolve().parent.parent / "examples" / "sweeps.md").read_text()


def commands() -> Iterator[list[str]]:
    """The words after ``pruneflow train``, of every command that stands on a line of its own."""
    for line in re.findall(r"^    (.*)$", page(), re.MULTILINE):
        for command in line.split(" && "):
            name, *words = shlex.split(command)
            if Path(name).name == "pruneflow":
                assert words.pop(0) == "train"
                yield words


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_a_command_composes(words: list[str]) -> None:
    file = Path("conf/hydra/launcher/cluster.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)[0])
    known = [word for word in words if not word.startswith(ABSENT)]
    parsed = parse(known)
    composer = Composer("train", parsed)
    asked = dict(word.split("=", 1) for word in known if "=" in word)
    master = composer.master(parsed.overrides)
    assert launcher_of(master) == LAUNCHERS[asked.get("hydra/launcher", "basic")]
    if asked.get("hydra/launcher") == "cluster":
        assert master.hydra.launcher.account == "my_group"
    points = list(composer.points(parsed.overrides))
    assert len(points) == (1 if known != words and "sparsity" not in asked else 4)
    assert composer.job(points[0]).config.recipe.name == "lenet_imp"


def test_every_launcher_stands_in_the_table() -> None:
    named = set(re.findall(r"^\|.*`(hydra/launcher=\w+)`", page(), re.MULTILINE))
    there = {plugin.replace("r/", "r=") for plugin in PLUGINS if "launcher" in plugin}
    assert named == there - {"hydra/launcher=ray_aws"}
