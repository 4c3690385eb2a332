"""``pruneflow init``: a folder to begin in, with a recipe, a network and how to run them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pruneflow import runfolder
from pruneflow.cli.console import PlainConsole
from pruneflow.errors import ConfigError
from pruneflow.recipe import json_schema, library

USAGE = """usage: pruneflow init [FOLDER]

Starts a folder, by default this one: a recipe and a network of your own, both
small, which run as they are. No file is ever replaced."""

TEMPLATES = ("README.md", "my_net.py", "recipes/mine.yaml", "conf/model/mine.yaml")
SCHEMA = f"recipes/{json_schema.FILE}"


def main(arguments: Sequence[str]) -> int:
    """Write the folder and say what to do there."""
    console = PlainConsole()
    if any(word in ("-h", "--help") for word in arguments):
        console.print(USAGE)
        return 0
    flags = [word for word in arguments if word.startswith("-")]
    if flags or len(arguments) > 1:
        raise ConfigError(f"init takes one folder, got '{' '.join(arguments)}'\n{USAGE}")
    folder = Path(*arguments)
    with runfolder.writing(folder):
        _require_free(folder)
        for name in TEMPLATES:
            template = library.data_root() / "templates" / name
            runfolder.write_bytes(folder / name, template.read_bytes())
        runfolder.write_json(folder / SCHEMA, json_schema.recipe_schema())
    commands = (folder / "README.md").read_text(encoding="utf-8").partition("folder:\n\n")[2]
    here = "" if folder == Path() else f"    cd {shlex.quote(str(folder))}\n"
    written = ", ".join((*TEMPLATES, SCHEMA))
    console.print(f"Written: {written}\n\n{here}{commands}", end="", soft_wrap=True)
    return 0


def _require_free(folder: Path) -> None:
    """Refuse before anything is written where something would be in the way."""
    for name in (*TEMPLATES, SCHEMA):
        path = folder / name
        between = [parent for parent in path.parents if parent.exists() and not parent.is_dir()]
        if between or path.exists() or path.is_symlink():
            raise ConfigError(f"{between[0] if between else path} is in the way; nothing written")
