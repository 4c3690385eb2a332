"""``pruneflow recipes``: what exists, what a field means, what is wrong, what an editor needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pruneflow import runfolder
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.words import document
from pruneflow.errors import ConfigError, RecipeError, did_you_mean
from pruneflow.modifiers import MODIFIERS
from pruneflow.recipe import json_schema, library
from pruneflow.registry import summary
from pruneflow.report.printable import printable
from pruneflow.user_code import import_modules

USAGE = """usage: pruneflow recipes list
       pruneflow recipes show NAME      a recipe, a fragment, or a type's fields
       pruneflow recipes check FILE…    read, compose, check (names or files)
       pruneflow recipes schema [-o FILE]    a JSON Schema of recipes

With the schema an editor completes and checks: those with yaml-language-server
(VS Code, Neovim, ...) look for this line on top of a recipe:

# yaml-language-server: $schema=recipe.schema.json

imports=[my_words] before or after the names imports modules of yours first."""

VERBS = ("list", "show", "check", "schema")
IMPORTS = "imports="


def main(arguments: Sequence[str]) -> int:
    """Run one of the sub-commands."""
    console = PlainConsole()
    import_modules(_named_modules(arguments))
    words = [word for word in arguments if not word.startswith(IMPORTS)]
    verb, *names = words or ("--help",)
    if verb in ("-h", "--help"):
        console.print(USAGE)
        return 0
    if verb == "list":
        return _list(console)
    if verb == "show" and names:
        for name in names:
            _show(console, name)
        return 0
    if verb == "check" and names:
        return _check(console, names)
    if verb == "schema":
        return _schema(names)
    if verb in ("show", "check"):
        raise ConfigError(f"recipes {verb} what?\n{USAGE}")
    hint = did_you_mean(verb, VERBS, always=True)
    raise ConfigError(f"no 'recipes {verb}'.{hint}")


def _named_modules(arguments: Sequence[str]) -> list[str]:
    given = [word.removeprefix(IMPORTS) for word in arguments if word.startswith(IMPORTS)]
    return [name.strip() for text in given for name in text.strip("[]").split(",")]


def _list(console: Console) -> int:
    recipes = Table("recipe", "what it does", box=None, header_style="bold", padding=(0, 2, 1, 0))
    for name, text, path in library.described():
        own = not path.is_relative_to(library.data_root())
        what = f"{text}\n{library.shown(path)}" if own else text
        recipes.add_row(printable(name), printable(what))
    console.print(recipes)
    words = Table("type", "what it does", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in sorted(MODIFIERS):
        words.add_row(name, summary(MODIFIERS[name]))
    console.print(words)
    console.print(printable(f"\nFragments: {', '.join(library.names(parts=True))}"))
    return 0


def _show(console: Console, name: str) -> None:
    path = library.find(name) or library.find(f"{library.PARTS}/{name}")
    if name in MODIFIERS:
        document(MODIFIERS[name], console)
    elif path is not None:
        _show_file(console, path)
    else:
        options = [*MODIFIERS, *library.names(), *library.names(parts=True)]
        raise ConfigError(f"no recipe or type '{name}'.{did_you_mean(name, options, True)}")


def _show_file(console: Console, path: Path) -> None:
    try:
        text = printable(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{library.shown(path)}: cannot be read: {error}") from None
    if console.is_terminal:
        from rich.syntax import Syntax

        console.print(printable(str(library.shown(path))), style="dim", soft_wrap=True)
        console.print(Syntax(text, "yaml", background_color="default", word_wrap=True))
    else:  # a file can be made of it
        console.print(text, end="", soft_wrap=True)


def _check(console: Console, names: Sequence[str]) -> int:
    from pruneflow.recipe.compose import load_recipe

    faulty = 0
    for name in names:
        if not library.find(name) and not Path(name).is_file():
            raise ConfigError(library.unknown(name))
        try:
            recipe = load_recipe(name)
        except RecipeError as error:
            faulty += 1
            console.print(printable(str(error)), style="red", soft_wrap=True)
        else:
            words = ", ".join(f"{key} ({mod.type})" for key, mod in recipe.modifiers.items())
            console.print(printable(f"{name}: good: {words}"), soft_wrap=True)
    return 2 if faulty else 0


def _schema(arguments: Sequence[str]) -> int:
    path = _output(arguments)
    if path is None:
        print(json.dumps(json_schema.recipe_schema(), indent=2))  # noqa: T201  (a file can be made of it)
        return 0
    with runfolder.writing(path.parent):
        if path.exists() and json_schema.COMMENT not in path.read_text(errors="replace"):
            text = "is there and no schema of PruneFlow's; choose another: -o FILE"
            raise ConfigError(f"{path} {text}")
        runfolder.write_json(path, json_schema.recipe_schema())
    return 0


def _output(arguments: Sequence[str]) -> Path | None:
    match arguments:
        case []:
            return None
        case ["-o" | "--output", file]:
            path = Path(file)
            return path / json_schema.FILE if path.is_dir() else path
        case _:
            raise ConfigError(f"recipes schema takes nothing but -o FILE\n{USAGE}")
