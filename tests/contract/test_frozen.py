"""The contract of every modifier that makes masks: frozen means frozen."""

from __future__ import annotations

from typing import Any

import pytest

from pruneflow.errors import PlanError
from pruneflow.modifiers import MODIFIERS
from tests.contract.test_modifiers import TOTAL, net_of, tree_of
from tests.loop import OPTIMIZERS, Loop, bits, plan_of


def changes(tree: dict[str, Any], name: str) -> list[int]:
    """The steps at which a recipe changes masks."""
    plan = plan_of(tree, net_of(MODIFIERS[name]), TOTAL)
    return [event.step for event in plan.events if event.changes_masks]


OWNERS = [name for name in MODIFIERS if MODIFIERS[name].owns_masks]


@pytest.mark.parametrize("name", OWNERS)
def test_masks_stay_as_they_are_from_the_moment_they_are_frozen(name: str) -> None:
    tree = tree_of(MODIFIERS[name])
    last = changes(tree, name)[-1]
    tree["freeze"] = {"type": "freeze_mask", "start": f"{last}st"}
    adam = OPTIMIZERS["adam"]
    run = Loop(tree, TOTAL, lambda: net_of(MODIFIERS[name]), lambda m: adam(m.parameters()))
    run.run(last)
    frozen = bits(run.masks)
    while run.clock < TOTAL:
        run.step()
        assert bits(run.masks) == frozen
        for weight, mask in run.masks.items():
            assert not bool(run.weights[weight][~mask].any())


@pytest.mark.parametrize("name", OWNERS)
def test_a_plan_that_changes_frozen_masks_is_refused(name: str) -> None:
    tree = tree_of(MODIFIERS[name])
    last = changes(tree, name)[-1]
    if last == 0:
        tree["it"]["start"] = "1ep"
        last = changes(tree, name)[-1]
    tree["freeze"] = {"type": "freeze_mask", "start": f"{last - 1}st"}
    words = f"at step {last}, but 'freeze' froze it at step {last - 1}"
    with pytest.raises(PlanError, match=words):
        changes(tree, name)
