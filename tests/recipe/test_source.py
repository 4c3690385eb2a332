"""Reading one recipe file: YAML 1.2 scalars, a line for every key, and refusals that point."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import RecipeError
from pruneflow.pruning.scope import Layer
from pruneflow.recipe import library
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.compose import load_recipe
from pruneflow.recipe.source import MAX_BYTES, MAX_ENTRIES, parse_source, read_source
from pruneflow.timeline import Horizon

LAYERS = [
    Layer("fc1.weight", ("Linear",), (10, 20), "input"),
    Layer("fc2.weight", ("Linear",), (5, 10), "output"),
]


def refusal(text: str) -> str:
    """What parsing ``text`` complains about."""
    with pytest.raises(RecipeError) as caught:
        parse_source(text, "x.yaml")
    return str(caught.value)


SAME = "2:4 1:30:00 off on yes n tRUE nULL 0o8 0b11 1_000 e3 . .iNF 2001-01-01 20ep 30% = $x"
VALUES = [
    ("true", True), ("FALSE", False), ("~", None), ("", None), ("Null", None), ("012", 12),
    ("-7", -7), ("+5", 5), ("0o14", 12), ("0x1F", 31), ("1e-3", 0.001), ("1E5", 1e5), (".5", 0.5),
    ("1.", 1.0), ("1.e3", 1000.0), (".inf", math.inf), ("-.INF", -math.inf), ("'1'", "1"),
    ('"off"', "off"), ("'~'", "~"), ("''", ""), ("${sparsity}", "${sparsity}"),
    ("x${vars.a-b}y${vars.l.0}", "x${vars.a-b}y${vars.l.0}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [*VALUES, *((text, text) for text in SAME.split())])
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = parse_source(f"vars:\n  a: {text}\n", "x.yaml").tree["vars"]["a"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse_source("a: .nan", "x.yaml").tree["a"])


def test_so_many_keys_and_items_are_no_recipe() -> None:
    items = ", ".join("1" for _ in range(MAX_ENTRIES - 1))
    assert len(parse_source(f"a: [{items}]\n", "x.yaml").tree["a"]) == MAX_ENTRIES - 1
    wanted = f"x.yaml:2: holds more than {MAX_ENTRIES} keys and list items"
    assert refusal(f"a: [{items}]\nb: 1\n") == wanted


def test_every_key_and_item_has_its_line() -> None:
    text = "# note\nlength: 3ep\nvars:\n  a: [1,\n    2]\n  b: {c: 1,\n"
    text += "      d: 2}\n\n'q': |-\n  x\nz: 1\n"
    source = parse_source(text, "x.yaml")
    assert source.lines == {
        ("length",): 2,
        ("vars",): 3,
        ("vars", "a"): 4,
        ("vars", "a", "0"): 4,
        ("vars", "a", "1"): 5,
        ("vars", "b"): 6,
        ("vars", "b", "c"): 6,
        ("vars", "b", "d"): 7,
        ("q",): 9,
        ("z",): 11,
    }
    assert source.place(("vars", "b", "d")) == "x.yaml:7"
    assert source.tree["vars"] == {"a": [1, 2], "b": {"c": 1, "d": 2}}


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ("a: 1\nb: &x 1\n", 2, "anchors and aliases are not allowed; use '${vars.name}'"),
        ("a: 1\nb:\n  - *x\n", 3, "anchors and aliases"),
        ("a: &x {b: 1}\nc: *x\n", 1, "anchors and aliases"),
        ("a: 1\n&k b: 1\n", 2, "a key is a plain word"),
        ("a: 1\n*x : 1\n", 2, "a key is a plain word"),
        ("? [a]\n: 1\n", 1, "a key is a plain word"),
        ("a: 1\nb: !!python/object/apply:os.system ['x']\n", 2, "os.system' is not allowed"),
        ("a: 1\nb: !!str 3\n", 2, "the tag 'tag:yaml.org,2002:str' is not allowed"),
        ("a: !mine 3\n", 1, "the tag '!mine' is not allowed"),
        ("a: ! 3\n", 1, "the tag '!' is not allowed"),
        ("!!map {a: 1}\n", 1, "tag"),
        ("a: 1\n<<: {b: 2}\n", 2, "merge keys are not allowed; use the defaults list"),
        ("modifiers:\n  p:\n    _target_: os.system\n", 3, "'_target_' is not allowed"),
        ("__class__: 1\n", 1, "'__class__' is not allowed"),
        ("vars: {_args_: [1]}\n", 1, "'_args_' is not allowed"),
        ("length: 1ep\nhydra:\n  run: {dir: /}\n", 2, "'hydra' is not allowed in a recipe"),
        ("# @package _global_\na: 1\n", 1, "'@package' is not allowed"),
        ("a: 1\n  #@package: x\n", 2, "'@package' is not allowed"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice (first on line 1)"),
        ("v:\n  b: 1\n  'b': 2\n", 3, "'b' is given twice (first on line 2)"),
        ("a:\n\tb: 1\n", 2, "a tab character; indent with spaces"),
        ("a: 1\n---\nb: 2\n", 2, "holds a second document; a recipe is one"),
        ("", 1, "is empty"),
        ("# only a comment\n", 1, "is empty"),
        ("- a\n- b\n", 1, "a recipe is a mapping such as 'modifiers: {...}'"),
        ("prune\n", 1, "a recipe is a mapping"),
        ("~\n", 1, "a recipe is a mapping"),
        ("a:\n  b: 1\n   c: 2\n", 3, "check the indentation and the colons"),
        ("a: {b: 1\n", 2, "not valid YAML"),
        ("a: 1\nb: \x00\n", 2, "not valid YAML: the character '\\x00'"),
        ("a: 1\n${vars.b}: 1\n", 2, "'${vars.b}': a key cannot hold a reference"),
        ("a: 1\nb: ${oc.env:HOME}\n", 2, "'${oc.env:HOME}': only plain references such as"),
        ("a: ${hydra:runtime.cwd}\n", 1, "only plain references"),
        ('a: "\\x24{now:%Y}"\n', 1, "only plain references"),
        ("a: ${${b}}\n", 1, "only plain references"),
        ("a: ${b.${c}}\n", 1, "only plain references"),
        ("a: \\${b}\n", 1, "only plain references"),
        ("a: x\\\\${b}\n", 1, "only plain references"),
        ("a: ${ b }\n", 1, "only plain references"),
        ("a: ${..b}\n", 1, "only plain references"),
        ("a: ${b[0]}\n", 1, "only plain references"),
        ("a: ${b\n", 1, "only plain references"),
    ],
)
def test_refused_at_its_line(text: str, line: int, phrase: str) -> None:
    message = refusal(text)
    assert message.startswith(f"x.yaml:{line}: ")
    assert phrase in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "entry",
    [
        *[
            "/etc/passwd",
            "../x",
            "x/../../y",
            "./x",
            "~/x",
            "x.yaml",
            "_global_",
            "x@_global_",
            "pkg://x",
        ],
        *["file:///x", "'${vars.x}'", "_parts/x", "[x]", "{}", "3", "~"],
        "override x",
        "optional x",
        "{override _parts@modifiers.x: y}",
        "{optional _parts@modifiers.x: y}",
        "{/_parts@modifiers.x: y}",
        "{_parts@_global_: y}",
        "{_parts@hydra: y}",
        "{_parts@vars.x: y}",
        "{_parts@modifiers.x.y: y}",
        "{_parts@modifiers.x: ../y}",
        "{_parts@modifiers.x: /y}",
        "{_parts@modifiers.x: '${vars.y}'}",
        "{_parts@modifiers.x: [y, z]}",
        "{_parts@modifiers.x: y, _parts@modifiers.z: y}",
    ],
)
def test_defaults_that_reach_outside_are_refused(entry: str) -> None:
    message = refusal(f"length: 1ep\ndefaults:\n  - _self_\n  - {entry}\n")
    assert message.startswith("x.yaml:4: ")


def test_defaults_must_be_a_list() -> None:
    assert refusal("length: 1ep\ndefaults: gradual\n").startswith("x.yaml:2: 'defaults' is a list")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n"
            for p, c in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "[" * 10_000,
        "a: " + "[" * 10_000 + "]" * 10_000,
        "a: " + "{a: " * 10_000,
        "- " * 10_000 + "a",
        "? " * 10_000 + "a",
        "".join("  " * depth + "a:\n" for depth in range(300)),
    ],
    ids=["aliases", "open", "lists", "mappings", "dashes", "questions", "indented"],
)
def test_bombs_are_refused_at_once(text: str) -> None:
    before = time.process_time()
    assert refusal(text).startswith("x.yaml:")
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", "bad.yaml: is not UTF-8 text"),
        (b"a: 1\n" + b"#" * MAX_BYTES, "bad.yaml: is larger than 256 kB"),
        (None, "bad.yaml: cannot be read: Is a directory"),
    ],
)
def test_unreadable_files(content: bytes | None, message: str) -> None:
    path = Path("bad.yaml")
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read_source(path)
    assert str(caught.value) == message


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbflength: 3ep\n")
    assert read_source(Path("bom.yaml")).tree == {"length": "3ep"}


WORDS = "- << null 1e999 -1ep [prune] prune.end 99% 90 {a:1} _self_ ${sparsity} type \ufeff"
PIECES = st.sampled_from([*"{}[]:,#&*!|>'\"%@`?-~\t\n \\$", "${", "\n  ", ": ", *WORDS.split()])


@given(st.text(max_size=60) | st.lists(PIECES, max_size=30).map("".join))
def test_random_text_is_read_or_refused(text: str) -> None:
    complaint = ""
    try:
        assert isinstance(parse_source(text, "x.yaml").tree, dict)
    except RecipeError as error:
        complaint = str(error)
    assert complaint == "" or complaint.startswith("x.yaml:")


@given(st.data())
def test_a_mutated_recipe_works_or_is_refused(data: st.DataObject) -> None:
    root = library.data_root() / "recipes"
    text = data.draw(st.sampled_from(sorted(root.glob("*.yaml")))).read_text("utf-8")
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    Path("mutant.yaml").write_text(text, "utf-8")
    places = ["mutant.yaml:1"]
    try:
        assert compile_plan(load_recipe("./mutant.yaml"), LAYERS, Horizon(10)).total >= 0
    except RecipeError as error:
        places = [problem.where for problem in error.problems]
    assert all(re.search(r"\.yaml:\d+$", place) for place in places)


@pytest.mark.parametrize(
    "text",
    ['a: 1\nb: "\\e[31m"', 'a: 1\n"\\x9bm": 2', 'a: 1\nb: "x\\ty"', 'a: 1\nb: ["x\\ny"]',
     'a: 1\nb: "\\u202Ex"', "a: 1\nb: |\n  x\n", "a: 1\nb: '\u2028'",
     'a: 1\nb: "\\ud800"', 'a: 1\n"\\udfff": 2'],
)  # fmt: skip
def test_text_holds_no_control_characters(text: str) -> None:
    message = refusal(text)
    assert message.startswith("x.yaml:2: the control character '\\"), message
    assert message.isprintable()
