"""``pruneflow completion``, and the three shells themselves with a person at the keys."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pruneflow.cli import main
from pruneflow.cli.completion import SHELLS, USAGE, script

PROGRAM = """#!/bin/sh
case $1 in
    _complete | completion) exec "{python}" -m pruneflow "$@" ;;
    *) printf '%s\\n' "$@" > "{said}" ;;
esac
"""
START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SET_UP = {
    "bash": 'eval "$(pruneflow completion bash)"',
    "zsh": "autoload -Uz compinit; compinit -u; source <(pruneflow completion zsh)",
    "fish": "pruneflow completion fish | source",
}
READY = "echo rea''dy"
SECONDS = 60

TYPED = {
    "a value": ("tra\trecipe=lott\t", ["train", "recipe=lottery"]),
    "a field of a modifier": (
        "train recipe=grad\trecipe.mod\tprune.sch\tcos\tseed=3",
        ["train", "recipe=gradual", "recipe.modifiers.prune.schedule=cosine", "seed=3"],
    ),
    "a fragment": (
        "train recipe=gradual recipe/\tdec\t",
        ["train", "recipe=gradual", "recipe/_parts@recipe.modifiers.finetune=decay"],
    ),
    "a name to delete": (
        "train recipe=gradual '~rec\tfr\t",
        ["train", "recipe=gradual", "~recipe.modifiers.freeze"],
    ),
    "a list": ("train recipe=lottery,grad\t", ["train", "recipe=lottery,gradual"]),
    "a file with a space": ("train recipe=./my\ta\t", ["train", "recipe=./my folder/a b.yaml"]),
    "a name that is no command": (
        "train run=outputs/d/\t",
        ["train", "run=outputs/d/$(touch pwned);x"],
    ),
    "a flag": ("report --ou\tx.html", ["report", "--output", "x.html"]),
}


def the(shell: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here: apt-get install {shell}")
    return shell


@pytest.fixture
def environment(own_folder: Path) -> Mapping[str, str]:
    """A home of its own, in which ``pruneflow`` writes down what it was called with."""
    program = own_folder / "bin" / "pruneflow"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, said=own_folder / "said"))
    program.chmod(0o755)
    for name in ("my folder/a b.yaml", "outputs/d/$(touch pwned);x/run.lock.yaml"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("")
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(own_folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


class Terminal:
    """An interactive shell; a process of its own gives it a terminal, for ours has threads."""

    def __init__(self, shell: str, environment: Mapping[str, str]) -> None:
        self.screen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *START[shell]],
            env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        end = time.monotonic() + SECONDS
        while text not in self.screen:
            assert time.monotonic() < end, self.screen
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                self.screen += self.process.stdout.read(65536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()  # the shell gets a hang-up
        self.process.communicate()


@pytest.mark.parametrize("shell", SHELLS)
def test_who_types_and_tabs_runs_what_was_meant(shell: str, environment: Mapping[str, str]) -> None:
    terminal = Terminal(the(shell), environment)
    try:
        terminal.type(f"{SET_UP[shell]}; {READY}\r")
        terminal.wait_for("ready")
        for what, (typed, meant) in TYPED.items():
            said = Path("said")
            said.unlink(missing_ok=True)
            terminal.screen = ""
            terminal.type(f"pruneflow {typed}\r{READY}\r")
            terminal.wait_for("ready")
            assert said.read_text().splitlines() == meant, (what, terminal.screen)
    finally:
        terminal.close()
    assert not Path("pwned").exists()


CALLS = {
    ("pruneflow train recipe=lott", "lott"): ["lottery "],
    ("pruneflow train recipe=", ""): ["gradual ", "lottery "],
    ("bin/pruneflow tra", "tra"): ["train "],
    ("~/bin/pruneflow recipes s", "s"): ["schema ", "show "],
    ("absent/pruneflow tra", "tra"): [],
    ("pruneflow train run=outputs/d/", "outputs/d/"): [r"outputs/d/\$\(touch\ pwned\)\;x "],
    ("pruneflow train run='outputs/d/", "outputs/d/"): ["outputs/d/$(touch pwned);x"],
    ("pruneflow train nothing", "nothing"): [],
}


def test_bash_is_given_what_it_replaces(environment: Mapping[str, str]) -> None:
    code = f"{script('bash')}\n"
    for line, part in CALLS:
        command, shown = shlex.quote(line.split()[0]), shlex.quote(f"{line} and more")
        code += f"COMP_LINE={shown} COMP_POINT={len(line)}\n"
        code += f"_pruneflow {command} {shlex.quote(part)}; echo ==\n"
        code += 'for reply in "${COMPREPLY[@]}"; do echo "$reply"; done\n'
    done = run([the("bash"), "--norc", "-c", code], environment)
    answers = [answer.splitlines()[1:] for answer in done.split("==")[1:]]
    for meant, answer in zip(CALLS.values(), answers, strict=True):
        assert set(meant) <= set(answer)
        assert bool(meant) == bool(answer)


def test_fish_shows_what_words_mean(environment: Mapping[str, str]) -> None:
    code = f"{SET_UP['fish']}; complete -C 'pruneflow train recipe=one'; complete -C './absent tr'"
    word, meaning = run([the("fish"), "--no-config", "-c", code], environment).split("\t")
    assert word == "recipe=one_shot"
    assert meaning.startswith("One-shot magnitude pruning")


def run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_the_command_prints_scripts_and_says_how_to_use_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
        assert capsys.readouterr().out == script(shell)
        assert f"pruneflow completion {shell}" in USAGE
    assert main(["completion", "--help"]) == 0
    assert capsys.readouterr().out == f"{USAGE}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "for which shell?"),
        (["bash", "zsh"], "for which shell?"),
        (["fsh"], "no completion for 'fsh'. Did you mean 'fish'?"),
    ],
)
def test_mistakes(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", *arguments]) == 2
    assert said in capsys.readouterr().err
