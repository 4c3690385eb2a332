"""``pruneflow completion``: the script by which a shell completes PruneFlow's command lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pruneflow.errors import ConfigError, did_you_mean

SHELLS = ("bash", "zsh", "fish")
USAGE = """usage: pruneflow completion bash|zsh|fish

Prints a script for your shell. Put the line of your shell where it begins:

  bash   ~/.bashrc                    eval "$(pruneflow completion bash)"
  zsh    ~/.zshrc                     source <(pruneflow completion zsh)
  fish   ~/.config/fish/config.fish   pruneflow completion fish | source"""


def main(arguments: Sequence[str]) -> int:
    """Print a shell's script."""
    if list(arguments) in (["-h"], ["--help"]):
        sys.stdout.write(f"{USAGE}\n")
        return 0
    if len(arguments) != 1:
        raise ConfigError(f"completion for which shell?\n{USAGE}")
    shell = arguments[0]
    if shell not in SHELLS:
        raise ConfigError(f"no completion for '{shell}'.{did_you_mean(shell, SHELLS, True)}")
    sys.stdout.write(script(shell))
    return 0


def script(shell: str) -> str:
    """The script of a shell."""
    path = Path(__file__).parent / "completing" / "scripts" / f"pruneflow.{shell}"
    return path.read_text(encoding="utf-8")
