"""Recipes that are wrong in one key, made of right ones; each knows the line of that key."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

import yaml

from pruneflow.errors import RecipeError
from pruneflow.modifiers import MODIFIERS
from pruneflow.modifiers.fields import Duration, TargetsKind, declared_fields
from pruneflow.recipe import library, schema
from pruneflow.recipe.source import parse_source
from tests.bad_input import spoiling
from tests.bad_input.spoiling import Spot, inserted, misspelled, removed, renamed, revalued

ASKED = "my.yaml"


@dataclass(frozen=True)
class Mutant:
    """A recipe that is perhaps wrong.

    Attributes:
        what: What was done to it.
        files: What has to be written, the recipe first.
        places: Where the complaint has to begin; anywhere if none is given.
        is_wrong: Whether it has to be refused.
        words: What a plan of it is asked for with.
    """

    what: str
    files: dict[str, bytes]
    places: tuple[str, ...] = ()
    is_wrong: bool = False
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How its file is called."""
        return next(iter(self.files))


@dataclass(frozen=True)
class Seed:
    """A right recipe.

    Attributes:
        text: Of the file that is spoiled.
        file: How that is called.
        others: Further files: the recipe that builds on it comes first.
        words: What a plan of it needs.
    """

    text: str
    file: str = ASKED
    others: dict[str, bytes] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def mutant(
        self, what: str, text: str, lines: Iterable[int] = (), is_wrong: bool = True
    ) -> Mutant:
        """This recipe with another text, wrong in one of these lines."""
        places = tuple(f"{self.file}:{line}: " for line in lines)
        files = {**self.others, self.file: text.encode()}
        return Mutant(what, files, places, is_wrong and bool(places), self.words)


NEEDS = {
    "slimming": ("model=resnet20",),
    "block_32": ("model=vit", "optimizer=adamw"),
    "channel_shrink": ("model=lenet5",),
}
HEIR = b"defaults: [gradual]\nvars: {mine: 1}\n"
CHILD = b"defaults: [gradual, _self_]\nmodifiers:\n  prune: {schedule: linear}\n"


@cache
def seeds() -> tuple[Seed, ...]:
    """The recipes that come along, parents and fragments among them, and one of every word."""
    found = []
    folder = library.data_root() / "recipes"
    for path in sorted(folder.glob("*.yaml")):
        found.append(Seed(path.read_text(), words=NEEDS.get(path.stem, ())))
    gradual = (folder / "gradual.yaml").read_text()
    found.append(Seed(gradual, "recipes/gradual.yaml", {ASKED: HEIR}))
    found.append(Seed(CHILD.decode()))
    decay = (folder / "_parts/decay.yaml").read_text()
    found.append(Seed(decay, "recipes/_parts/decay.yaml", {ASKED: gradual.encode()}))
    for word in MODIFIERS:
        tree = {"length": "20ep", "modifiers": {"m": {"type": word, **MODIFIERS[word].example}}}
        found.append(Seed(yaml.safe_dump(tree, sort_keys=False)))
    return tuple(found)


Spoiler = Callable[[Seed, random.Random], Mutant]


def single(chance: random.Random) -> Mutant:
    """A recipe that differs in one key from a right one."""
    return chance.choice(SPOILERS)(chance.choice(seeds()), chance)


def _any(seed: Seed, chance: random.Random) -> Spot:
    return chance.choice(spoiling.spots(seed.text))


def _inside(seed: Seed, spot: Spot) -> tuple[str, ...]:
    """A key's path in the whole recipe: a fragment's keys are a modifier's."""
    return ("modifiers", "finetune", *spot.path) if "_parts" in seed.file else spot.path


def _declared(seed: Seed, path: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the modifier that a key is in, by name; none if it is in none."""
    spots = {_inside(seed, spot): spot for spot in spoiling.spots(seed.text)}
    kind = spots.get((*path[:2], "type"))
    if len(path) < 3 or path[0] != "modifiers" or kind is None:
        return {}
    fields = declared_fields(MODIFIERS[kind.value.value])
    return {declared.name: declared for declared in fields}


def slip(seed: Seed, chance: random.Random) -> Mutant:
    """A key misspelled."""
    spot = _any(seed, chance)
    path, name = _inside(seed, spot), misspelled(spot.path[-1], chance)
    text = renamed(seed.text, spot, name)
    what = f"{'.'.join(path)} is called {name}"
    known = {"type", *_declared(seed, path)} if len(path) == 3 else {*schema.TOP_LEVEL}
    if len(path) not in (1, 3) or name in known or (len(path) == 3 and len(known) == 1):
        return seed.mutant(what, text)
    alike = spot.path[-1] != "type" or bool(get_close_matches(name.lower(), ["type"]))
    return seed.mutant(what, text, [spot.line] * alike)


def absent(seed: Seed, chance: random.Random) -> Mutant:
    """A key left out."""
    spot = _any(seed, chance)
    return seed.mutant(f"{'.'.join(spot.path)} is left out", removed(seed.text, spot))


ENTRIES = [
    "nonsense: 1", "_target_: os.system", "<<: {a: 1}", "hydra: {}", "1: 2", "'': 1", "[a]: 1",
    "'${x}': 1", "~: 1", "true: 1", "? {a: b}\n: 1", "__class__: x", "'a.b': 1", "🦙: 1",
    "!!str a: 1", "&a b: 1", "'a b': 1", "_x_: 1", '"\\x1b[2J": 1', "a=b: 1", "@package: _global_",
    '"\\ud800": 1', "e\u0301: 1", "'a/b@c': 1", f"{'k' * 3000}: 1",
]  # fmt: skip


def extra(seed: Seed, chance: random.Random) -> Mutant:
    """A key that nobody knows."""
    spot, entry = _any(seed, chance), chance.choice(ENTRIES)
    path = _inside(seed, spot)
    text = inserted(seed.text, spot, entry)
    exact = len(path) == 1 or (path[0] == "modifiers" and len(path) == 3)
    return seed.mutant(f"{entry} beside {'.'.join(path)}", text, [spot.line] * exact)


VALUES = [
    "-1", "0", "1", "2", "90", "0.5", "1.0", "-0.0", "1e308", "1e999", "-1e999", ".nan", ".inf",
    "-.inf", "99999999999999999999", "1_000", "0x10", "0o17", "1e-400", "true", "no", "~", "''",
    "'0.5'", "ninety", "90%", "3ep", "2.5ep", "-3ep", "3epochs", "3 ep", "1e3ep", "nanep", "infst",
    "400st", "2.5st", "0st", "0ep", "30%", "101%", "-5%", "9999999999999999999999ep", "3", "3.0",
    "1e-9ep", "prune.end", "nobody.end", "m.start", "a.b.c", "init", "x", "[]", "{}", "[[]]",
    "[1, 2]", "{a: 1}", "{a: {b: [1]}}", "[{}]", "{default: 2}", "{default: 0.5}", "2:4", "4:2",
    "0:4", "2:64", "1:1000000", "{block: [0, 4]}", "{block: [32]}", "{block: [1e9, 4]}",
    "{block: [99999999999, 99999999999]}", "None", "null", "2026-01-01", "1:30:00", "'*'", "'**'",
    "'[a-'", "'fc1'", "output", "{types: [Nothing]}", "{names: 3}", "'(?:a+)+$'", "../secret",
    "/etc/passwd", "'\\n'", '"\\u2028"', '"\\ud800"', '"\\x1b[31m"', "🦙", "İ", "٣ep",
    "!!int 3", "!!python/name:os.system ''", "&x 3", "*x", "!x y", "|", ">-", "'unclosed", "[1, 2",
    "{a: 1", "@x", "`x`", "%x", "- 1", "a: b", "\t3", "3\t", "3 #", "#", f"'{'x' * 3000}'",
    "'${nobody}'", "${vars.nobody}", "'${'", "${sparsity", "'${sparsity}${sparsity}'", "'$'",
    "'${oc.env:HOME}'", "'${modifiers}'", "'${length}ep'", "'${defaults}'", "${targets}",
    "'\\${sparsity}'", "'${${sparsity}}'", "${sparsity.a.b}", "'x${modifiers}y'", "???",
]  # fmt: skip
"""Values in YAML that are wrong in most places, and right in some."""

TOP = {"length": Duration(), "targets": TargetsKind()}


def value(seed: Seed, chance: random.Random) -> Mutant:
    """Another value for a key."""
    spot, text = _any(seed, chance), chance.choice(VALUES)
    return _valued(seed, spot, text, revalued(seed.text, spot, text))


def added(seed: Seed, chance: random.Random) -> Mutant:
    """A value for a key that the author left out."""
    within = [spot for spot in spoiling.spots(seed.text) if len(_inside(seed, spot)) == 3]
    if not within:
        return value(seed, chance)
    spot, text = chance.choice(within), chance.choice(VALUES)
    there = {s.path[-1] for s in within if s.path[:-1] == spot.path[:-1]}
    names = sorted({*_declared(seed, _inside(seed, spot))} - there) or ["nonsense"]
    name = chance.choice(names)
    new = Spot((*spot.path[:-1], name), spot.key, spot.value, spot.is_flow)
    return _valued(seed, new, text, inserted(seed.text, spot, f"{name}: {text}"))


def _valued(seed: Seed, spot: Spot, value: str, text: str) -> Mutant:
    path = _inside(seed, spot)
    what = f"{'.'.join(path)}: {value}"
    declared = _declared(seed, path)
    kind = declared[path[2]].metadata["kind"] if path[-1] in declared else TOP.get(path[0])
    if kind is None or len(path) not in (1, 3) or path[-1] in ("type", "defaults"):
        return seed.mutant(what, text)
    return seed.mutant(what, text, [spot.line] * _is_wrong(value, kind, spot.is_flow))


def _is_wrong(value: str, kind: Any, is_flow: bool) -> bool:
    """Whether a value is wrong by itself: what the rest of a recipe may do to it is left out."""
    try:
        text = f"x: {{y: {value}, z: 1}}" if is_flow else f"x:\n  y: {value}\n  z: 1\n"
        tree = parse_source(text, "x").tree["x"]
    except RecipeError:
        return False  # the end of what YAML cannot read may be anywhere
    parsed = tree.get("y")
    if tree.keys() != {"y", "z"} or parsed is None or "${" in value:
        return False
    try:
        kind.parse(parsed)
    except ValueError:
        return True
    return False


def twice(seed: Seed, chance: random.Random) -> Mutant:
    """A key given twice."""
    spot = _any(seed, chance)
    text, line = spoiling.doubled(seed.text, spot)
    return seed.mutant(f"{'.'.join(spot.path)} stands twice", text, [line])


REFERENCES = ["'${nobody}'", "'x${vars.nobody}'", "'${modifiers.nobody.start}'"]


def nowhere(seed: Seed, chance: random.Random) -> Mutant:
    """A reference to nothing, or to itself."""
    spot = _any(seed, chance)
    path = _inside(seed, spot)
    text = chance.choice([*REFERENCES, f"'${{{'.'.join(path)}}}'", f"'a${{{'.'.join(path)}}}'"])
    plain = path[0] not in ("defaults", "vars") and "-" not in "".join(path)
    plain = plain and all(name.isidentifier() for name in path)
    what = f"{'.'.join(path)}: {text}"
    return seed.mutant(what, revalued(seed.text, spot, text), [spot.line] * plain)


FORBIDDEN = [
    "&a 1", "!!str x", "!mine x", "*a", "{a: &b 1}", "[!x y]", "{_args_: 1}", "{b: {<<: 1}}",
]  # fmt: skip


def forbidden(seed: Seed, chance: random.Random) -> Mutant:
    """YAML beyond plain data."""
    spot, text = _any(seed, chance), chance.choice(FORBIDDEN)
    return seed.mutant(
        f"{'.'.join(spot.path)}: {text}", revalued(seed.text, spot, text), [spot.line]
    )


SPOILERS: tuple[Spoiler, ...] = (
    slip, slip, absent, extra, value, value, added, added, twice, nowhere, forbidden,
)  # fmt: skip
