"""The microcontroller example: it reads a drawing, shows it and says what the network says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pruneflow.deploy.c99.boards.tools import emulator_missing, toolchain_missing

MISSING = (
    toolchain_missing() or emulator_missing() or (not shutil.which("make") and "found no make")
)

NETWORK = {
    "lenet_300_100.h": """\
#define LENET_300_100_INPUTS 784
#define LENET_300_100_OUTPUTS 10
typedef struct { float numbers[1]; } lenet_300_100_workspace;
void lenet_300_100_run(lenet_300_100_workspace *workspace, const float *input, float *output);
""",
    "lenet_300_100.c": """\
#include "lenet_300_100.h"
void lenet_300_100_run(lenet_300_100_workspace *workspace, const float *input, float *output)
{
    static const float scores[10] = {-0.04f, 1, -1, 0.06f, 9.96f, -12.34f, 123.4f, -99.95f, 7, 0};
    workspace->numbers[0] = input[0];
    for (int digit = 0; digit < 10; digit++)
        output[digit] = scores[digit];
}
""",
}
"""A network that always thinks the same."""


@pytest.fixture
def example(repository: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, to work in."""
    if MISSING:
        pytest.skip(MISSING)
    folder = own_folder / "microcontroller"
    wanted = shutil.ignore_patterns("run", "build")
    shutil.copytree(repository / "examples" / "microcontroller", folder, ignore=wanted)
    monkeypatch.chdir(folder)
    return folder


def make(*words: str) -> list[str]:
    """What the program prints."""
    command = ["make", "--silent", "run", f"PYTHON={sys.executable}", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[2:]  # after what arm-none-eabi-size says


def test_a_drawing_is_shown_and_scores_are_printed(example: Path) -> None:
    for name, text in NETWORK.items():
        Path(name).write_text(text)
    told = make("NETWORK=.", "DIGIT=digits/8.txt")
    assert [line.rstrip() for line in told[:28]] == Path("digits/8.txt").read_text().splitlines()
    assert told[28:] == [
        "",
        "0       0.0  ##########",
        "1       1.0  ##########",
        "2      -1.0  ##########",
        "3       0.1  ##########",
        "4      10.0  ###########",
        "5     -12.3  #########",
        "6     123.4  ########################",
        "7    -100.0  ",
        "8       7.0  ###########",
        "9       0.0  ##########",
        "",
        "This is a 6.",
    ]
    Path("own.txt").write_text("@" * 40 + "\n\n  =?\n")  # too long, too short, unknown, the end
    told = make("NETWORK=.", "DIGIT=own.txt")
    assert [line.rstrip() for line in told[:28]] == ["@" * 28, "", "  =@", *[""] * 25]


@pytest.mark.slow
def test_the_commands_of_the_readme(example: Path) -> None:
    block = re.findall(r"```console\n(.*?)```", Path("README.md").read_text(), re.DOTALL)[0]
    commands = [line[2:].split() for line in block.splitlines()]
    assert [words[0] for words in commands] == ["sudo", "cd", "pruneflow", "pruneflow", "make"]
    for words in commands[2:4]:
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for digit in ("2", "3", "5", "8"):
        assert make(f"DIGIT=digits/{digit}.txt")[-1] == f"This is a {digit}."
