"""``pruneflow recipes``: what exists, what a field means, what is wrong with a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from pruneflow.cli.console import PlainConsole
from pruneflow.cli.words import document, summary
from pruneflow.errors import ConfigError, RecipeError, did_you_mean
from pruneflow.modifiers import MODIFIERS
from pruneflow.recipe import library
from pruneflow.report.printable import printable
from pruneflow.user_code import import_modules

USAGE = """usage: pruneflow recipes list
       pruneflow recipes show NAME     a recipe, a fragment, or a modifier type with its fields
       pruneflow recipes check FILE…   read, compose and check recipes (names or files)

imports=[my_words] before or after the names imports modules of yours first."""


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
    if verb in ("show", "check"):
        raise ConfigError(f"recipes {verb} what?\n{USAGE}")
    hint = did_you_mean(verb, ("list", "show", "check"), always=True)
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
