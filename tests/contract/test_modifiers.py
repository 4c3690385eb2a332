"""The contract of every modifier: a declaration that reads, compiles, runs and resumes exactly.

A modifier that registers itself is held to all of this, by its own ``example``.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
from hypothesis import assume, given
from torch import nn

from pruneflow.errors import RecipeError
from pruneflow.modifiers import MODIFIERS, Modifier
from pruneflow.modifiers.events import ACTION_ORDER
from pruneflow.modifiers.fields import Kind
from pruneflow.recipe import schema
from pruneflow.recipe.declaration import Recipe
from tests.loop import OPTIMIZERS, Loop, normed_net, plan_of, resumed_anywhere, revived, small_net
from tests.strategies import modifier_trees

CLASSES = [MODIFIERS[name] for name in MODIFIERS]
TOTAL = 12

CONTEXT: dict[str, Any] = {
    "prune": {"type": "prune", "sparsity": 0.3, "start": "1st"},
}
"""Modifiers that an example may refer to by name (``prune.end``)."""

BEFORE: dict[str, Any] = {
    "shrink": {
        "prune": {"type": "prune", "sparsity": 0.5, "granularity": "channel", "start": "1ep"}
    },
}
"""Modifiers without which an example would do nothing."""

NETS = {"recalibrate_bn": normed_net, "shrink": normed_net}
"""Networks that an example needs instead of the usual one."""

modifiers = pytest.mark.parametrize("cls", CLASSES, ids=list(MODIFIERS))


def tree_of(cls: type[Modifier]) -> dict[str, Any]:
    """A recipe around the example, with whatever the example refers to."""
    example = {"type": cls.type, **cls.example}
    refers = {str(value).split(".")[0] for value in cls.example.values() if isinstance(value, str)}
    before = BEFORE.get(cls.type, {})
    return {**{n: CONTEXT[n] for n in CONTEXT if n in refers}, **before, "it": example}


def build(tree: dict[str, Any]) -> Recipe:
    return schema.build({"modifiers": tree})


def net_of(cls: type[Modifier]) -> nn.Module:
    return NETS.get(cls.type, small_net)()


def loop_of(cls: type[Modifier], saved: bytes | None = None) -> Loop:
    adam = OPTIMIZERS["adam"]
    return Loop(
        tree_of(cls),
        total=TOTAL,
        net=lambda: net_of(cls),
        optimizer=lambda model: adam(model.parameters()),
        saved=saved,
    )


def test_the_vocabulary_is_there() -> None:
    assert {"prune", "iterative_prune", "freeze_mask", "lr"} <= set(MODIFIERS)


@modifiers
def test_it_is_documented(cls: type[Modifier]) -> None:
    assert (cls.__doc__ or "").strip()
    assert not (cls.__doc__ or "").startswith(f"{cls.__name__}("), "dataclass made it up"
    assert cls.example, "needs an example that runs"
    for declared in fields(cls):
        if declared.name != "name":
            assert declared.metadata["doc"], declared.name
            assert declared.metadata["kind"].label, declared.name


@modifiers
def test_it_is_a_frozen_declaration(cls: type[Modifier]) -> None:
    it = build(tree_of(cls)).modifiers["it"]
    assert is_dataclass(it)
    assert it.type == cls.type
    for declared in fields(it):
        with pytest.raises(FrozenInstanceError):
            setattr(it, declared.name, None)


@modifiers
def test_its_defaults_read_back_as_themselves(cls: type[Modifier]) -> None:
    it = build(tree_of(cls)).modifiers["it"]
    for declared in fields(it):
        value = getattr(it, declared.name)
        if "kind" in declared.metadata and value is not None:
            kind: Kind = declared.metadata["kind"]
            assert kind.parse(kind.render(value)) == value


@modifiers
def test_its_recipe_reads_back_as_itself(cls: type[Modifier]) -> None:
    recipe = build(tree_of(cls))
    again = schema.build(recipe.to_dict())
    assert again == recipe
    assert again.digest == recipe.digest


@given(modifier_trees())
def test_any_recipe_reads_back_as_itself(tree: dict[str, Any]) -> None:
    try:
        recipe = build({"it": tree})
    except RecipeError:
        assume(False)
    assert schema.build(recipe.to_dict()) == recipe


@modifiers
def test_an_unknown_field_is_refused_with_the_nearest(cls: type[Modifier]) -> None:
    known = next(f.name for f in fields(cls) if "kind" in f.metadata)
    tree = tree_of(cls)
    tree["it"][known + "x"] = 1
    with pytest.raises(RecipeError) as error:
        build(tree)
    assert f"modifiers.it.{known}x: '{cls.type}' has no field '{known}x'" in str(error.value)
    assert f"Did you mean '{known}'?" in str(error.value)


@modifiers
def test_a_value_of_the_wrong_kind_is_refused_at_its_field(cls: type[Modifier]) -> None:
    for declared in fields(cls):
        if "kind" in declared.metadata:
            tree = tree_of(cls)
            tree["it"][declared.name] = object()
            with pytest.raises(RecipeError, match=rf"modifiers\.it\.{declared.name}: "):
                build(tree)


@modifiers
def test_a_required_field_that_is_missing_is_named(cls: type[Modifier]) -> None:
    required = [f for f in fields(cls) if "kind" in f.metadata and f.default is MISSING]
    for declared in required:
        tree = tree_of(cls)
        del tree["it"][declared.name]
        with pytest.raises(RecipeError, match=f"required field '{declared.name}' is missing"):
            build(tree)


@pytest.mark.parametrize("value", [["prune"], {"a": 1}, 3, None, True, "prun"], ids=repr)
def test_a_type_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"modifiers\.it"):
        build({"it": {"type": value}})


@modifiers
def test_compiling_is_deterministic_and_sorted(cls: type[Modifier]) -> None:
    plan, again = (plan_of(tree_of(cls), net_of(cls), TOTAL) for _ in range(2))
    assert plan.rows == again.rows
    keys = [(event.step, ACTION_ORDER.index(event.action)) for event in plan.events]
    assert keys == sorted(keys)
    assert all(0 <= event.step <= TOTAL for event in plan.events)
    names = {layer.name for layer in plan.layers}
    assert all(set(event.layers) <= names for event in plan.events)


@modifiers
def test_the_plan_without_a_length_has_room_for_it(cls: type[Modifier]) -> None:
    plan = plan_of(tree_of(cls), net_of(cls))
    assert all(event.step <= plan.total for event in plan.events)


@modifiers
def test_the_journal_is_the_plan(cls: type[Modifier]) -> None:
    loop = loop_of(cls).run()
    journal = loop.engine.state.journal
    assert [(e["step"], e["modifier"], e["event"]) for e in journal] == [
        (event.step, event.modifier, event.action) for event in loop.plan.events
    ]
    for entry, row in zip(journal, loop.plan.rows, strict=True):
        assert row.zeros in (None, loop.plan.size - entry["nonzeros"])
    assert len(journal) == len(loop.plan.rows) > 0


@modifiers
def test_it_keeps_pruned_weights_at_positive_zero(cls: type[Modifier]) -> None:
    loop = loop_of(cls)
    while loop.clock < TOTAL:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


@modifiers
def test_the_networks_keys_are_its_own(cls: type[Modifier]) -> None:
    loop = loop_of(cls).run()
    assert list(loop.model.state_dict()) == list(net_of(cls).state_dict())


@modifiers
def test_two_runs_are_bit_identical(cls: type[Modifier]) -> None:
    assert loop_of(cls).run().everything() == loop_of(cls).run().everything()


@modifiers
def test_resuming_at_any_step_is_bit_identical(cls: type[Modifier]) -> None:
    resumed_anywhere(lambda saved: loop_of(cls, saved))
