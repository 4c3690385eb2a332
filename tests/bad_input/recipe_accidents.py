"""Recipes that are broken as a whole: the wrong bytes, the wrong shape, too much of something."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.bad_input.recipe_mutants import ASKED, Mutant, Seed, seeds

Accident = Callable[[bytes, random.Random], bytes]

SMALL = b"length: 3ep\nmodifiers:\n  p: {type: prune, sparsity: 0.5, start: %s}\n"
WHOLES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\n",
    "a comment": b"# x\n",
    "null": b"~\n",
    "a list": b"- a\n- b\n",
    "a word": b"prune\n",
    "a number": b"3\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "many documents": b"---\n" * 1000,
    "directives": b"%YAML 1.1\n%TAG ! tag:x,2000:\n---\na: 1\n",
    "a NUL": b"length: 3ep\nmodifiers: \0\n",
    "broken UTF-8": b"length: 3ep\n\xff\xfe\xfd: 1\n",
    "half a letter": b"length: 3ep \xc3",
    "an encoded surrogate": b"a: \xed\xa0\x80\n",
    "UTF-16": "length: 3ep\n".encode("utf-16"),
    "UTF-32": "length: 3ep\n".encode("utf-32"),
    "BOM": b"\xef\xbb\xbf" + SMALL % b"1ep",
    "two BOMs": b"\xef\xbb\xbf" * 2 + SMALL % b"1ep",
    "BOM inside": SMALL % b"\xef\xbb\xbf1ep",
    "only a BOM": b"\xef\xbb\xbf",
    "carriage returns": (SMALL % b"1ep").replace(b"\n", b"\r"),
    "DOS lines": (SMALL % b"1ep").replace(b"\n", b"\r\n"),
    "tabs": (SMALL % b"1ep").replace(b"  ", b"\t"),
    "a bomb of aliases": b"a: &a [x, x]\n" + b"".join(
        b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 123)
    ),
    "a bomb of references": b"vars:\n  a: xxxxxxxxxx\n" + b"".join(
        b"  %c: '%s'\n" % (n, b"${vars.%c}" % (n - 1) * 9) for n in range(98, 123)
    ) + SMALL % b"'${vars.z}'",
    "a bomb of trees": b"vars:\n  a: [1, 1]\n" + b"".join(
        b"  %c: ['${vars.%c}', '${vars.%c}']\n" % (n, n - 1, n - 1) for n in range(98, 123)
    ) + SMALL % b"1ep",
    "a circle": b"vars: {a: '${vars.b}', b: '${vars.a}'}\n" + SMALL % b"'${vars.a}'",
    "a reference to its parent": b"vars: {a: {b: '${vars.a}'}}\n" + SMALL % b"'${vars.a.b}'",
    "a reference to all": b"vars: {a: '${vars}'}\n" + SMALL % b"1ep",
    "a chain": b"vars:\n  a0: 1ep\n" + b"".join(
        b"  a%d: '${vars.a%d}'\n" % (n + 1, n) for n in range(40)
    ) + SMALL % b"'${vars.a40}'",
    "deep lists": b"a: " + b"[" * 3000 + b"]" * 3000,
    "very deep lists": b"a: " + b"[" * 120_000,
    "deep braces": b"{a: " * 20_000,
    "deep keys": b"? " * 5_000 + b"a",
    "deep dashes": b"a:\n" + b"- " * 5_000 + b"1\n",
    "deep blocks": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "a long line": b"a: '" + b"x" * 200_000 + b"'\n",
    "a long key": b"k" * 2000 + b": 1\n",
    "a long word": SMALL % (b"9" * 100_000),
    "a long text": SMALL % (b"'" + b"x" * 100_000 + b"'"),
    "a long number": SMALL % (b"9" * 5_000 + b"ep"),
    "too large": b"# " + b"x" * 300_000,
    "many keys": b"".join(b"k%d: 1\n" % n for n in range(15_000)),
    "many modifiers": b"length: 9ep\nmodifiers:\n" + b"".join(
        b"  m%d: {type: freeze_mask}\n" % n for n in range(3000)
    ),
    "many wrong modifiers": b"modifiers:\n" + b"".join(
        b"  m%d: {tipe: x}\n" % n for n in range(5000)
    ),
    "many anchors": b"length: 9ep\nmodifiers:\n  m0: {type: prune, sparsity: 0.1}\n" + b"".join(
        b"  m%d: {type: freeze_mask, start: m%d.start}\n" % (n + 1, n) for n in range(2000)
    ),
    "many events": SMALL % b"0ep, end: 99999999ep, every: 1st",
    "itself": b"defaults: [./my.yaml]\n",
    "itself by name": b"defaults: [my, _self_]\n",
    "no defaults": b"defaults: [nobody, _self_]\n" + SMALL % b"1ep",
    "a default twice": b"defaults: [gradual, gradual]\n",
    "defaults of one's own": b"defaults: [_self_, _self_]\n" + SMALL % b"1ep",
    "hydra in defaults": b"defaults: [{override hydra/launcher: joblib}]\n",
    "a config in defaults": b"defaults: [/train]\n",
    "optional defaults": b"defaults: [{optional gradual: x}]\n",
    "a package": b"# @package _global_\nlength: 3ep\n",
    "a null group": b"defaults: [gradual, {_parts@modifiers.finetune: null}]\n",
    "a strange group": b"defaults: [gradual, {_parts@modifiers: decay}]\n",
    "a group at the root": b"defaults: [{_parts: decay}]\n" + SMALL % b"1ep",
    "a fragment nobody has": b"defaults: [gradual, {_parts@modifiers.x: nobody}]\n",
    "a deleted parent": b"defaults: [gradual]\nmodifiers: ~\n",
    "a parent's modifier gone": b"defaults: [gradual, _self_]\nmodifiers: {prune: ~}\n",
    "numbers for names": b"modifiers: {1: {type: prune}}\n",
    "odd spaces": "length:\u00a03ep\nmodifiers:\u2003{}\n".encode(),
}  # fmt: skip
"""Whole files that nobody should write."""

CIRCLE = {"my.yaml": b"defaults: [a]\n", "recipes/a.yaml": b"defaults: [b]\n",
          "recipes/b.yaml": b"defaults: [a, _self_]\n"}  # fmt: skip
NAMES = [
    "a b.yaml", "a=b.yaml", "a,b.yaml", "it's.yaml", 'a"b.yaml', "a$b.yaml", "a${b}.yaml",
    "a{b}.yaml", "a[b].yaml", "ä.yaml", "🦙.yaml", "a\nb.yaml", "a\x1b[2Jb.yaml", "-x.yaml",
    "~x.yaml", "a@b.yaml", "a:b.yaml", "a\\b.yaml", "a#b.yaml", "%s.yaml", ".yaml", "..yaml",
    "a\u202eb.yaml", "x" * 240 + ".yaml", "a.yml", "null.yaml", "a(b).yaml", "a\tb.yaml",
    "a;b.yaml", "recipes/_parts/x.yaml", "recipes/1.yaml", "+x.yaml", "$x_{y}^2$.yaml",
]  # fmt: skip


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Some bits the other way round."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def cut(data: bytes, chance: random.Random) -> bytes:
    """Its beginning only."""
    return data[: chance.randrange(len(data))]


def crossed(data: bytes, chance: random.Random) -> bytes:
    """Its beginning, then another one's end."""
    other = chance.choice(seeds()).text.encode()
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def shuffled(data: bytes, chance: random.Random) -> bytes:
    """Two lines in each other's place, or one gone, twice, or farther to the right."""
    lines = data.splitlines(keepends=True)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        del lines[one]
    elif kind == 2:
        lines.insert(other, lines[one])
    else:
        lines[one] = chance.choice([b" ", b"   ", b"\t"]) + lines[one]
    return b"".join(lines)


STRANGE = [
    "\u2028", "\ufeff", "\u202e", "\x07", "\0", "\x85", "🦙", "\u200b", "e\u0301", "\xa0",
    "{", "}", "[", "]", ":", ": ", "#", "'", '"', "&a ", "*a ", "!", "|", ">", "%", "@", "`",
    ",", "- ", "? ", "${", "}", "\\", "\n", "\t", "~", "\r", "\x1b[31m", "<<: ", "...",
]  # fmt: skip


def sprinkled(data: bytes, chance: random.Random) -> bytes:
    """A few strange characters anywhere."""
    text = data.decode()
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(STRANGE) + text[at:]
    return text.encode()


ACCIDENTS: tuple[Accident, ...] = (flipped, cut, crossed, shuffled, shuffled, sprinkled, sprinkled)


def accident(chance: random.Random) -> Mutant:
    """A right recipe after an accident."""
    seed: Seed = chance.choice(seeds())
    happened = chance.choice(ACCIDENTS)
    data = happened(seed.text.encode(), chance)
    return Mutant(happened.__name__, {**seed.others, seed.file: data}, words=seed.words)


def wholes() -> list[Mutant]:
    """One of each whole file that nobody should write, and right ones under strange names."""
    found = [Mutant(what, {ASKED: data}) for what, data in WHOLES.items()]
    found.append(Mutant("a circle of three files", CIRCLE, is_wrong=True))
    right = SMALL % b"1ep"
    wrong = right.replace(b"sparsity", b"sparsty")
    for name in NAMES:
        found += [Mutant(f"named {name!a}", {name: data}) for data in (right, wrong)]
    return found
