"""``key=value`` in Hydra's language: which keys there are, and which values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pruneflow.cli.completing import paths
from pruneflow.cli.completing.conf import Conf
from pruneflow.cli.completing.keys import Key, Words
from pruneflow.cli.quoting import PATHS
from pruneflow.errors import RecipeError
from pruneflow.recipe import library

RECIPE = "recipe"
FRAGMENT = f"{RECIPE}/{library.PARTS}@{RECIPE}."
_LISTED = re.compile(r"(.*[,\[])?(.*)", re.DOTALL)


def overrides(command: str, given: Sequence[str], current: str) -> Words:
    """What an override may become.

    Args:
        command: ``train``, ``plan`` or ``deploy``.
        given: The words before the cursor's.
        current: The word at the cursor.
    """
    line = _Line(command, given)
    body = current.lstrip("+~")
    sign = current.removesuffix(body)
    key, equals, text = body.partition("=")
    if equals:
        return {f"{sign}{key}={word}": what for word, what in line.values(key, text).items()}
    found = line.deletable() if sign == "~" else line.keys(body, is_new=bool(sign))
    return {sign + word: what for word, what in found.items()}


class _Line:
    """A command line, and the configuration it makes up to the cursor."""

    def __init__(self, command: str, given: Sequence[str]) -> None:
        self.command = command
        self.taken = {word.lstrip("+").partition("=")[0] for word in given if "=" in word}
        self.conf = Conf(given)
        self.fragments: Sequence[str] = ()
        below = dict(self.conf.key(command).below)
        if RECIPE in below:
            below |= self._recipe_keys(given)
        if command == "train":
            below["run"] = Key("a run to repeat, or with ckpt_path=last to continue")
        if command == "deploy" and "deploy" in below:
            below["deploy"] = _with_choices(below["deploy"])
        self.root = Key(below=below)

    def keys(self, text: str, is_new: bool) -> Words:
        """The keys that a text may become, level by level; with ``+``, new groups too."""
        *path, last = text.split(".")
        here = self.root.find(path)
        found = here.offers("".join(f"{name}." for name in path)) if here is not None else {}
        if not path and last.startswith(RECIPE):
            found |= {f"{FRAGMENT}{place}=": "another fragment" for place in self.fragments}
        if not path and is_new:
            groups = [name for name in self.conf.groups() if name not in self.root.below]
            found |= {f"{name}=": f"one of {name}/" for name in groups}
        return {word: what for word, what in found.items()
                if not (word.endswith("=") and word[:-1] in self.taken)}  # fmt: skip

    def deletable(self) -> Words:
        """The modifiers, which ``~`` leaves out."""
        kept = self.root.find((RECIPE, "modifiers")) or Key()
        return {f"{RECIPE}.modifiers.{name}": key.meaning for name, key in kept.below.items()}

    def values(self, key: str, text: str) -> Words:
        """What may stand behind ``key=``; in a list, behind its last comma."""
        if key == "run":
            return paths.runs(text, with_sweeps=self.command == "deploy")
        if key == "ckpt_path":
            return paths.checkpoints(text)
        if key in PATHS:
            return paths.files(text)
        match = _LISTED.fullmatch(text)
        done, last = match.groups("") if match is not None else ("", text)
        if key == RECIPE and library.is_path(last):
            found = paths.files(last, ".yaml", ".yml")
        else:
            taken = re.split(r"[,\[]", done)
            found = {word: what for word, what in self._words(key).items() if word not in taken}
        return {done + word: what for word, what in found.items()}

    def _words(self, key: str) -> Words:
        if key.startswith(FRAGMENT):
            from pruneflow.cli.completing import recipes

            return recipes.named(parts=True)
        found = self.root.find(key.split("."))
        if found is None:
            return self.conf.options(key) if key in self.conf.groups() else {}
        return found.words

    def _recipe_keys(self, given: Sequence[str]) -> dict[str, Key]:
        """``recipe``, and the keys that are short for its own."""
        from pruneflow.cli.completing import recipes
        from pruneflow.cli.completing.composing import composed
        from pruneflow.cli.controls import ALL

        tree: dict[str, Any] = {}
        for word in given:
            if word.startswith(f"{RECIPE}="):
                with suppress(RecipeError):  # one that is faulty leaves the other keys
                    tree, self.fragments = composed(word.removeprefix(f"{RECIPE}="), given)
        recipe = recipes.Recipe(tree)
        key = Key("what to prune, and when", recipes.named(), recipe.keys() if tree else {})
        knobs = recipe.knobs()
        name, _, every = ALL.partition("=")
        if name in knobs:
            knobs[name] = replace(knobs[name], words={**knobs[name].words, every: ""})
        return {RECIPE: key, **knobs}


def _with_choices(key: Key) -> Key:
    """The keys of ``deploy.`` with the words that each of them takes."""
    from pruneflow.deploy.choices import CHOICES

    below = {name: replace(inner, words=dict.fromkeys(CHOICES[name], "")) if name in CHOICES
             else inner for name, inner in key.below.items()}  # fmt: skip
    return replace(key, below=below)
