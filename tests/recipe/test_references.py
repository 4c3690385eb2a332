"""``${plain.references}``: what they mean, and that they cannot loop, explode or lead nowhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import RecipeError
from pruneflow.recipe.compose import load_recipe
from pruneflow.recipe.references import MAX_NODES, anchored, mentions, reference_keys, resolve

FREEZE = "modifiers:\n  freeze: {type: freeze_mask}\n"


def resolved(tree: dict[str, Any]) -> dict[str, Any]:
    return resolve(tree, lambda path: "x.yaml:" + ".".join(path))


def refusal(tree: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        resolved(tree)
    return str(caught.value)


@pytest.mark.parametrize("value", [0.9, 3, True, None, "3ep", [1, {"a": 2}], {"a": [1]}])
def test_a_whole_reference_keeps_the_type(value: object) -> None:
    assert resolved({"vars": {"v": value}, "x": "${vars.v}"})["x"] == value


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("${vars.n}ep", "3ep"),
        ("${vars.n}${vars.n}", "33"),
        ("a.${vars.s}.b", "a.fc1.b"),
        ("$5 ${vars.s}", "$5 fc1"),
        ("${vars.list.1}", "second"),
        ("${vars.f}", 0.5),
        ("${vars.f} of it", "0.5 of it"),
        ("${recipe.vars.s}", "fc1"),
    ],
)
def test_inside_text_and_lists(text: str, meant: object) -> None:
    names = {"n": 3, "s": "fc1", "f": 0.5, "list": ["first", "second"]}
    assert resolved({"vars": names, "x": [{"y": text}]})["x"] == [{"y": meant}]


def test_references_are_followed_through_other_references() -> None:
    tree = {"vars": {"a": "${vars.b}", "b": "${vars.c}ep", "c": 3}, "x": "${vars.a}"}
    assert resolved(tree)["x"] == "3ep"


@pytest.mark.parametrize(
    ("reference", "keys"),
    [("recipe", ["recipe"]), ("recipe.a.b", ["a", "b"]), ("a.b", ["a", "b"]), ("a", ["a"])],
)
def test_a_path_begins_at_the_recipes_own_root(reference: str, keys: list[str]) -> None:
    assert reference_keys(reference) == keys


def test_the_tree_given_is_left_alone() -> None:
    tree = {"vars": {"a": [1]}, "x": "${vars.a}", "y": "${vars.a}"}
    result = resolved(tree)
    assert tree["x"] == "${vars.a}"
    result["x"].append(2)
    assert tree["vars"] == {"a": [1]}
    assert result["y"] == [1]


@pytest.mark.parametrize(
    ("tree", "where", "phrase"),
    [
        ({"x": "${x}"}, "x", "${x} refers to itself"),
        ({"x": "a${x}"}, "x", "${x} refers to itself"),
        ({"a": "${b}", "b": "${c}", "c": "${a}"}, "a", "refers to itself"),
        ({"x": {"y": "${x}"}}, "x.y", "${x} refers to itself"),
        ({"a": {"b": "${c}"}, "c": ["${a}"]}, "a.b", "refers to itself"),
        ({"sparsity": 1, "x": "${sparsty}"}, "x", "nothing. Did you mean 'sparsity'?"),
        ({"vars": {"rate": 1}, "x": "${vars.rat}"}, "x", "Did you mean 'vars.rate'?"),
        ({"vars": {"rate": 1}, "x": "${rate}"}, "x", "Did you mean 'vars.rate'?"),
        ({"length": 1, "x": "${qqqqq}"}, "x", "refers to nothing. Allowed: length, x."),
        ({"vars": {"l": [1]}, "x": ["${vars.l.1}"]}, "x.0", "refers to nothing"),
        ({"vars": {"l": 3}, "x": "${vars.l.a}"}, "x", "refers to nothing"),
        ({"vars": {"l": [1]}, "x": "a${vars.l}"}, "x", "${vars.l} is not a single value"),
        ({"vars": {"l": {}}, "x": "${vars.l}!"}, "x", "cannot be part of a text"),
        ({"x": "${oc.env:HOME}"}, "x", "only plain references"),
        ({"x": "\\${length}", "length": 1}, "x", "only plain references"),
        ({"vars": {"a": "$", "b": "{length}"}, "x": "${vars.a${vars.b}}"}, "x", "only plain"),
    ],
)
def test_refused_at_the_key_that_refers(tree: dict[str, Any], where: str, phrase: str) -> None:
    message = refusal(tree)
    assert message.startswith(f"x.yaml:{where}: {where}: ")
    assert phrase in message


def test_a_reference_cannot_be_assembled_from_parts() -> None:
    tree = {"vars": {"a": "$", "b": "{length}"}, "length": 1, "x": "${vars.a}${vars.b}"}
    assert resolved(tree)["x"] == "${length}"


@pytest.mark.parametrize("shape", ["list", "mapping", "text"])
def test_growth_is_bounded(shape: str) -> None:
    grown: dict[str, Any] = {"v0": "x" * 10}
    for level in range(1, 60):
        part = f"${{vars.v{level - 1}}}"
        many: dict[str, Any] = {"list": [part] * 9, "mapping": dict.fromkeys("abcdefghi", part)}
        grown[f"v{level}"] = many.get(shape, part * 9)
    before = time.perf_counter()
    message = refusal({"vars": grown})
    assert time.perf_counter() - before < 1
    assert "too big" in message or "too long" in message


def test_a_chain_of_references_ends_in_an_error_not_in_a_crash() -> None:
    chain: dict[str, object] = {f"v{level}": f"${{vars.v{level + 1}}}" for level in range(3000)}
    assert "references lead from one to the next" in refusal({"vars": {**chain, "v3000": 1}})


def test_the_limit_leaves_room() -> None:
    tree = {"vars": {"a": list(range(100))}, "x": ["${vars.a}"] * (MAX_NODES // 200)}
    assert len(resolved(tree)["x"]) == MAX_NODES // 200


@given(st.recursive(st.sampled_from(["${a}", "${b.c}", "x", 1, None]), st.lists, max_leaves=8))
def test_anchored_trees_mean_the_same(value: object) -> None:
    tree = {"a": 5, "b": {"c": "y"}, "x": value}
    assert resolved(anchored(tree)) == resolved(tree)
    assert mentions(tree["x"], "a") == ("${a}" in str(value))
    assert mentions(anchored(tree["x"]), "a") == ("${a}" in str(value))


def test_mentions_looks_for_the_top_level_key_only() -> None:
    assert not mentions({"x": "${vars.sparsity} sparsity ${sparsity_2}"}, "sparsity")
    assert mentions({"x": [{"y": "at ${sparsity.fc1}"}]}, "sparsity")


def test_vars_hold_free_names_and_shape_the_recipe() -> None:
    text = (
        "length: ${vars.epochs}ep\n"
        "vars: {epochs: 8, when: {first: 2ep}, prune: prune}\n"
        "modifiers:\n"
        "  prune: {type: '${vars.prune}', sparsity: 0.5, start: '${vars.when.first}'}\n"
        "  freeze: {type: freeze_mask, start: '${modifiers.prune.start}'}\n"
    )
    Path("my.yaml").write_text(text)
    tree = load_recipe("./my.yaml").to_dict()
    assert tree == {
        "length": "8ep",
        "modifiers": {
            "prune": {"type": "prune", "sparsity": 0.5, "start": "2ep"},
            "freeze": {"type": "freeze_mask", "start": "2ep"},
        },
    }
    changed = load_recipe("./my.yaml", overrides=["vars.epochs=4", "vars.when.first=1ep"])
    assert changed.to_dict()["length"] == "4ep"
    assert changed.to_dict()["modifiers"]["freeze"]["start"] == "1ep"


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ("length: ${vars.n}\n" + FREEZE, 1, "length: ${vars.n} refers to nothing"),
        ("length: 1ep\nvars:\n  a: ${vars.b}\n  b: ${vars.a}\n" + FREEZE, 3, "refers to itself"),
        ("length: 1ep\n" + FREEZE + "  x: ${modifiers}\n", 4, "${modifiers} refers to itself"),
        ("length: ${vars.n}\nvars: {a: 1,\n  n: 3}\n" + FREEZE, 3, "length: 3 has no unit"),
        ("length: ${hydra.run.dir}\n" + FREEZE, 1, "${hydra.run.dir} refers to nothing"),
    ],
)
def test_messages_name_the_line_to_edit(text: str, line: int, phrase: str) -> None:
    Path("my.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe("./my.yaml")
    assert str(caught.value).startswith(f"my.yaml:{line}: ")
    assert phrase in str(caught.value)
