"""The lottery-ticket lab does what it says: its commands run, and print what stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pruneflow.cli.arguments import parse
from pruneflow.cli.jobs import Composer
from pruneflow.training.planning import preview

PICTURES = {"ticket/run.png": "lottery_run.png", "controls/sweep.png": "lottery_controls.png"}
WRITING = os.environ.get("PRUNEFLOW_GOLDEN") == "write"


@dataclass(frozen=True)
class Typed:
    """A command of the lab and what it prints."""

    command: str
    output: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.output}"


def typed(block: str) -> Iterator[Typed]:
    """The commands of one block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Typed(command, output)


def blocks(text: str) -> list[str]:
    return re.findall(r"```console\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def lab(repository: Path) -> Path:
    """The lab's text."""
    return repository / "examples" / "lottery_lab.md"


def test_every_training_of_the_lab_can_be_planned(lab: Path) -> None:
    commands = [each.command for block in blocks(lab.read_text()) for each in typed(block)]
    trainings = [command for command in commands if command.startswith("pruneflow train")]
    assert len(trainings) >= 5
    for command in trainings:
        words = shlex.split(command.partition("|")[0])[2:]
        if "recipe=./patient.yaml" in words:
            words[0] = "recipe=lottery"
        parsed = parse(words)
        jobs = Composer("train", parsed).jobs(parsed.overrides, parsed.multirun)
        preview(jobs[-1].config)


@pytest.mark.slow
def test_the_lab_runs_and_prints_what_it_says(lab: Path) -> None:
    text = lab.read_text()
    for block in blocks(text):
        printed = [Typed(each.command, shell(each.command)) for each in typed(block)]
        if WRITING:
            text = text.replace(block, "".join(map(str, printed)))
        for expected, found in zip(typed(block), printed, strict=True):
            assert (
                WRITING or "deploy" in found.command or like(found.output) == like(expected.output)
            ), found.command
    for source, name in PICTURES.items():
        assert Path(source).is_file()
        if WRITING:
            shutil.copy(source, lab.parent / "pictures" / name)
    if WRITING:
        lab.write_text(text)


def shell(command: str) -> str:
    """What a command prints, on either stream."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500, check=False,
        env={**os.environ, "PATH": path, "COLUMNS": "80"},
    )  # fmt: skip
    is_mistake = "Did you mean 'rewind_to'?" in done.stdout
    assert done.returncode == (2 if is_mistake else 0), done.stdout
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def like(output: str) -> list[str]:
    """Words in their order, with every number alike."""
    return re.sub(r"[-\d][\d,.:%e-]*", "#", output).split()
