"""The JSON Schema of recipes: no right recipe is marked, and a wrong field is."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from pruneflow.errors import RecipeError
from pruneflow.modifiers import MODIFIERS
from pruneflow.modifiers.fields import Duration, Number, any_of, schema_of
from pruneflow.recipe import library, schema
from pruneflow.recipe.json_schema import recipe_schema
from pruneflow.recipe.source import parse_source
from tests.recipe import test_broken_recipes as broken
from tests.recipe.test_impossible_recipes import IMPOSSIBLE
from tests.strategies import json_values, modifier_trees, times

SCHEMA = recipe_schema()
VALIDATOR = Draft7Validator(SCHEMA)
FIELDS = [
    pytest.param(name, declared, id=f"{name}.{declared.name}")
    for name in MODIFIERS
    for declared in fields(MODIFIERS[name])
    if "kind" in declared.metadata
]
BUILT_IN = sorted((library.data_root() / "recipes").rglob("*.yaml"))

each_field = pytest.mark.parametrize(("word", "declared"), FIELDS)


def marks(tree: Any) -> list[str]:
    """What an editor would underline."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(tree)]


def example(word: str) -> dict[str, Any]:
    """A right recipe of one modifier."""
    return {"modifiers": {"m": {"type": word, **copy.deepcopy(dict(MODIFIERS[word].example))}}}


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


# -- what is right is not marked -----------------------------------------------------------


@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: path.stem)
def test_every_recipe_and_fragment_that_comes_along_is_right(path: Path) -> None:
    assert marks(parse_source(path.read_text(), path.name).tree) == []


@pytest.mark.parametrize("word", list(MODIFIERS))
def test_every_example_is_right(word: str) -> None:
    assert marks(example(word)) == []
    assert marks(example(word)["modifiers"]["m"]) == [], "as a fragment"


def test_the_recipe_of_the_readme_is_right(repository: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert (
        [marks(parse_source(text, "README.md").tree) for text in shown] == [[]] * len(shown) != []
    )


@given(modifier_trees())
def test_whatever_builds_is_not_marked(tree: dict[str, Any]) -> None:
    recipe = {"modifiers": {"it": tree}}
    try:
        plain = schema.build(recipe).to_dict()
    except RecipeError:
        assume(False)
    assert marks(recipe) == []
    assert marks(plain) == [], "a recipe.lock.yaml is a recipe"


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Anything, and much that is nearly right."""
    near = times() | st.floats(0, 1) | st.integers(0, 10**18) | st.text("0123 .epst%", max_size=7)
    near |= st.sampled_from(["prune.end", "a.b", "init", " 2ep ", "0100%", "2.0st", "100.1%"])
    if isinstance(names := getattr(kind, "names", None), list | tuple):
        near |= st.sampled_from(names)
    near |= st.lists(near, max_size=3) | st.dictionaries(times() | st.text("ab*"), near, max_size=3)
    return near | json_values()


@each_field
@settings(max_examples=25)
@given(data=st.data())
def test_a_field_takes_what_its_kind_reads_and_no_more(word: str, declared: Any, data: Any) -> None:
    kind = declared.metadata["kind"]
    value = data.draw(values(kind))
    assume("${" not in str(value))
    try:
        kind.parse(value)
        is_read = True
    except ValueError:
        is_read = False
    is_valid = Draft7Validator(schema_of(kind)).is_valid(value)
    if is_read:
        assert is_valid, "a false alarm"
    elif type(kind).__module__.startswith("pruneflow.modifiers.fields."):
        assert not is_valid or isinstance(value, float), "2.0 is a whole number to JSON"


@pytest.mark.parametrize("name", list(schema.TOP_LEVEL))
def test_every_key_may_be_a_reference_or_nothing(name: str) -> None:
    assert set(SCHEMA["definitions"]["recipe"]["properties"]) == set(schema.TOP_LEVEL)
    tree = {**example("prune"), "vars": {"a": 1}}
    assert name == "defaults" or marks({**tree, name: "${vars.a}"}) == []
    assert name == "modifiers" or marks({**tree, name: None}) == []


@each_field
def test_every_field_may_be_a_reference_and_be_given_back(word: str, declared: Any) -> None:
    tree = example(word)
    tree["modifiers"]["m"][declared.name] = "${vars.x}"
    assert marks(tree) == []
    tree["modifiers"]["m"][declared.name] = None
    assert bool(marks(tree)) == (declared.default is MISSING)


RIGHT = [
    "modifiers: {p: '${modifiers.q}', q: {type: prune, sparsity: 0.5}}",
    "modifiers: {p: {type: '${vars.word}', anything: 1}}",
    "modifiers: {p: {type: prune, sparsity: {fc1: '${vars.x}'}, start: '${vars.n}ep'}}",
    "modifiers: {p: {type: prune, sparsity: 0.5, end: größer.end}, größer: {type: freeze_mask}}",
    "modifiers: {p: {type: prune, schedule: multistep, milestones: {2ep: '${vars.x}'}}}",
    "modifiers: {p: {type: lr, schedule: multistep, gamma: 1, milestones: ['${vars.x}', 3ep]}}",
    "targets: fc1\nmodifiers: {f: {type: freeze_mask, targets: {names: [fc1]}, ignore: fc2}}",
    "sparsity: {fc1: 0.5, default: 0.9}\nmodifiers: {f: {type: freeze_mask}}",
    "defaults: [gradual, _self_]\nmodifiers: {prune: {schedule: linear}, freeze: {start: 3ep}}",
    "defaults: [gradual, _self_]\nlength: 3ep",
    "defaults: [gradual]\nmodifiers: {}",
    "defaults: [deep/er-parent, {_parts@modifiers.finetune: decay}, _self_]",
    "defaults: [gradual, {_parts@modifiers.finetune: null}, _self_]",
    "defaults: [{_parts@modifiers.f: decay}, _self_]\nmodifiers: {f: {factor: 0.5}}",
    "factor: 0.1",
    "type: prune\ntargets: [fc1]",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_people_write_is_right(text: str) -> None:
    assert marks(parse_source(text, "x.yaml").tree) == []


@given(st.from_regex(r"[A-Za-z]\w{0,7}([/-]\w{1,7}){0,2}", fullmatch=True), st.booleans())
def test_every_name_that_defaults_may_hold_is_right(name: str, as_fragment: bool) -> None:
    assume(not name.endswith("_"))
    entry = {f"_parts@modifiers.{name.replace('/', '-')}": name} if as_fragment else name
    tree = parse_source(json.dumps({"defaults": [entry]}, ensure_ascii=False), "x.yaml").tree
    assert marks(tree) == []


# -- what is wrong is marked ---------------------------------------------------------------

TABLES = [
    *(text for text, _ in [*broken.WHOLE, *IMPOSSIBLE]),
    *(broken.with_fields("prune", row[0]) for row in broken.PRUNE),
    *(broken.with_fields("iterative_prune", row[0]) for row in broken.ITERATIVE),
    *(broken.with_fields("lr", row[0]) for row in broken.RATE),
    *(broken.HEAD + re.sub(r"(^|;)\s*", r"\n  ", text) for text, _ in broken.SEVERAL),
]
"""Recipes that are refused with a good message, for whatever reason."""

ARITHMETIC = "with n below m"
"""What a field alone shows to those who can count."""


@pytest.fixture
def one_field_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are judged by each field alone: how two of them go together does not matter."""
    for word in MODIFIERS:
        monkeypatch.setattr(MODIFIERS[word], "check", lambda self: ())
    monkeypatch.setattr(schema, "_broken_anchors", lambda modifiers, names: ())


@pytest.mark.usefixtures("one_field_at_a_time")
@pytest.mark.parametrize("text", TABLES)
def test_exactly_what_a_field_alone_shows_is_marked(text: str) -> None:
    try:
        tree = parse_source(text, "x.yaml").tree
    except RecipeError:  # a list where names should be
        assert marks(yaml.safe_load(text))
        return
    try:
        schema.build(tree)
        is_wrong = False
    except RecipeError as error:
        is_wrong = "${" not in text and ARITHMETIC not in str(error)
    assert bool(marks(tree)) == is_wrong


def test_references_are_not_followed() -> None:
    marked = [bool(marks(yaml.safe_load(text))) for text, _ in broken.REFERENCES]
    assert marked == [True, True, False, False], "only the wrong sparsity stands where it is used"


UNLIKELY = [[], {}, True, False, -1, 1.5, 90, "3", "3epochs", "!", "", [[1]], {"a": "b"}, {"2": 1}]


def wrong_values(declared: Any) -> list[Any]:
    """Unlikely values that the field's kind refuses."""
    found = []
    for value in UNLIKELY:
        try:
            declared.metadata["kind"].parse(value)
        except ValueError:
            found.append(value)
    return found


def broken_fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """Recipes in which one field is wrong: its value, or a letter of its name."""
    for word in MODIFIERS:
        declared = {f.name: f for f in fields(MODIFIERS[word]) if "kind" in f.metadata}
        for name, declaration in declared.items():
            for value in wrong_values(declaration):
                tree = example(word)
                tree["modifiers"]["m"][name] = value
                yield f"{word}.{name}={value}", tree
            for slip in {f"{name}s", name[:-1], name.replace("_", "-"), name.title()} - {*declared}:
                tree = example(word)
                tree["modifiers"]["m"][slip] = tree["modifiers"]["m"].pop(name, None)
                yield f"{word}.{slip}", tree
            if declaration.default is MISSING:
                tree = example(word)
                del tree["modifiers"]["m"][name]
                yield f"{word} without {name}", tree


BROKEN = list(broken_fields())


def test_hundreds_of_broken_recipes_are_refused() -> None:
    assert len(BROKEN) > 300
    for what, tree in BROKEN:
        assert marks(tree), what
        with pytest.raises(RecipeError):
            schema.build(tree)


def test_what_changes_a_parent_or_makes_a_fragment_is_held_to_its_words_too() -> None:
    for what, tree in BROKEN:
        if " without " not in what:
            assert marks({"defaults": ["gradual", "_self_"], **tree}), what
            assert marks(tree["modifiers"]["m"]), what


WRONG = [
    "{}",
    "lenth: 9ep",
    "defaults: [_self_]\nlength: 9ep",
    "defaults: [_self_]\nmodifiers: {prune: {schedule: linear}}",
    "defaults: gradual",
    "defaults: [../secret]",
    "defaults: [/etc/passwd]",
    "defaults: [gradual, gradual]",
    "defaults: [{_parts@hydra: y}]",
    "defaults: [{_parts@modifiers.x: ../y}]",
    "defaults: [gradual, _self_]\nmodifiers: {prune: {schedul: linear}}",
    "defaults: [gradual, _self_]\nmodifiers: {prune: {schedule: cubik}}",
    "defaults: [gradual, _self_]\nmodifiers: {prune: {type: lr, sparsity: 0.5}}",
    "defaults: [gradual, _self_]\nmodifiers: {freeze: null}",
    "modifiers: {p: {type: prune, start: 1ep, sparsity: 0.5, granularity: {block: [4]}}}",
    "modifiers: {p: {type: prune, start: 1ep, sparsity: 0.5, granularity: {block: [4, 4, 4]}}}",
    "type: lr\nsparsity: 0.5",
    "type: lr\nvars: {a: 1}",
    "factr: 0.1",
    "modifiers: {1st: {type: freeze_mask}}",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_nobody_should_write_is_marked(text: str) -> None:
    assert marks(yaml.safe_load(text))


def test_a_mark_is_where_the_mistake_is() -> None:
    tree = yaml.safe_load("modifiers: {p: {type: prune, sparsity: 90, start: 3}}")
    assert {mark.partition(": ")[0] for mark in marks(tree)} == {
        "$.modifiers.p.sparsity",
        "$.modifiers.p.start",
    }


# -- words of one's own --------------------------------------------------------------------


class Anything:
    """A kind of somebody's, written before there were schemas."""

    label = "anything"


def test_a_kind_without_a_schema_may_hold_anything() -> None:
    assert schema_of(Anything()) == {}  # type: ignore[arg-type]


def test_any_of_says_nothing_twice() -> None:
    number, time = Number(0).schema(), Duration().schema()
    assert any_of(number, number) == number
    assert any_of(any_of(number, time), time) == {"anyOf": [number, time]}
