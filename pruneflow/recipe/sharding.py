"""What a recipe asks of a network whose weights processes share out, and cannot have there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pruneflow.errors import Problem
from pruneflow.modifiers.site import FieldError
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.plan import Plan

if TYPE_CHECKING:
    from torch import nn


def unshardable(recipe: Recipe, plan: Plan, model: nn.Module) -> Iterator[Problem]:
    """What does not work on shards, if there are any.

    Args:
        recipe: What to do.
        plan: It, compiled for the network.
        model: Perhaps with parameters that ``fully_shard`` has shared out.
    """
    from pruneflow.pruning.shards import is_sharded, ranks_of

    weights = dict(model.named_parameters())
    if not any(map(is_sharded, weights.values())):
        return
    for modifier in recipe.modifiers.values():
        if (need := modifier.needs_whole) is not None:
            field, value = need
            text = (
                f"'{value}' needs whole weights, and processes share out this network's "
                "(fully_shard): train it on one device or under DDP, or choose another"
            )
            yield recipe.problem(modifier, FieldError(field, text))
    try:
        ranks_of({name: weights[name] for name in plan.masked})
    except ValueError as error:
        yield Problem("", str(error))
