"""The words of a command that are no ``key=value``: flags, verbs, files."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.cli.completing import paths
from pruneflow.cli.completing.conf import Conf
from pruneflow.cli.completing.keys import Words
from pruneflow.cli.completion import SHELLS

CONFIGURED = ("train", "plan", "deploy")
"""Commands that take ``key=value`` and Hydra's flags."""

_HELP = {"--help": "what the command does"}
_HYDRA = {
    "--cfg": "show the configuration: job, hydra or all",
    "--resolve": "with --cfg: references resolved",
    "--package": "with --cfg: this part of it",
    "--info": "show where the configuration comes from",
    "--config-dir": "a folder with groups of your own",
    "--config-name": "another configuration than the command's",
    "--config-path": "a folder in place of PruneFlow's own conf/",
    "--hydra-help": "Hydra's own flags",
}
_SWEEP = {"-m": "one job for each value", "--multirun": "one job for each value"}
_FLAGS = {
    "train": _HELP | _SWEEP | _HYDRA,
    "plan": _HELP | _SWEEP | _HYDRA,
    "deploy": _HELP | _HYDRA,
    "report": _HELP | {"-o": "the page", "--output": "the page"},
    "recipes": _HELP | {"-o": "where the schema goes", "--output": "where the schema goes"},
}
_VERBS = {
    "recipes": {
        "list": "what exists",
        "show": "a recipe, a fragment, or a type with its fields",
        "check": "read, compose and check recipes",
        "schema": "what recipes may hold, for editors",
    },
    "cache": {"list": "what runs may go on from", "clear": "delete it"},
    "completion": dict.fromkeys(SHELLS, ""),
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def flags(command: str) -> Words:
    """The flags of a command."""
    return _FLAGS.get(command, _HELP)


def flag_values(flag: str, text: str, given: Sequence[str]) -> Words | None:
    """What may follow a flag; None where it stands alone, or is none."""
    match flag:
        case "--cfg" | "-c":
            return dict.fromkeys(("job", "hydra", "all"), "")
        case "--info" | "-i":
            return dict.fromkeys(_INFO, "")
        case "--config-dir" | "-cd" | "--config-path" | "-cp":
            return paths.folders(text)
        case "--config-name" | "-cn":
            return Conf(given).options("")
        case "--output" | "-o":
            return paths.files(text)
        case "--package" | "-p":
            return {}
    return None


def plain_words(command: str, given: Sequence[str], text: str) -> Words:
    """What may stand after a command that takes no ``key=value``."""
    if command in _VERBS and not given:
        return _VERBS[command]
    if command == "recipes":
        return _recipe_words(given[0], text)
    return paths.folders(text) if command in ("report", "init") else {}


def _recipe_words(verb: str, text: str) -> Words:
    from pruneflow.cli.completing import recipes

    if verb == "show":
        return recipes.named() | recipes.named(parts=True) | recipes.types()
    if verb == "check":
        return recipes.named() | paths.files(text, ".yaml", ".yml")
    return {}
