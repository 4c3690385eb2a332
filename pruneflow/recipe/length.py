"""How long a run is: as long as somebody says, or as its recipe needs."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.errors import PlanError, Problem
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.declaration import Recipe
from pruneflow.timeline import Horizon, Time


def with_length(recipe: Recipe, layers: Sequence[Layer], horizon: Horizon) -> Horizon:
    """The clock with the run's total: the one given, the recipe's, or as long as it takes.

    A length of 0 is one too: what happens before the first update is all that happens.

    Raises:
        PlanError: The recipe does not fit into it, or nobody says how long it is.
    """
    steps_per_epoch, total = horizon.steps_per_epoch, horizon.total
    if total is None and recipe.length is not None:
        try:
            total = Horizon(steps_per_epoch).steps(recipe.length)
        except ValueError:
            text = "length: cannot be a share of itself: write 20ep or 9000st"
            raise PlanError(Problem(recipe.locate(("length",)), text)) from None
        if not total and recipe.length.value:
            text = f"length: {recipe.length} rounds to no step at all: write 0st to train nothing"
            raise PlanError(Problem(recipe.locate(("length",)), text))
    if total is not None and total < 0:
        raise PlanError(Problem("", f"length: no run has {total} steps"))
    clock = Horizon(steps_per_epoch, total)
    site = Site(recipe.modifiers, layers, recipe.targets, clock)
    needed, by = 0, None
    problems: list[Problem] = []
    for modifier in recipe.modifiers.values():
        try:
            steps = modifier.needed_steps(site)
        except FieldError as error:
            problems.append(recipe.problem(modifier, error))
        else:
            needed, by = max((needed, by), (steps, modifier), key=lambda pair: pair[0])
    if total is not None and by is not None and needed > total:
        epochs = -(-needed // steps_per_epoch)
        mend = f"it needs a length of {epochs}ep ({needed} steps)"
        if any(isinstance(at, Time) and at.unit == "%" for at in vars(by).values()):
            mend = "it begins at a share of the run, so begin earlier or do less"
        text = (
            f"modifiers.{by.name}: works until step {needed}, but the run ends at step "
            f"{total}: {mend}"
        )
        raise PlanError(Problem(recipe.locate(("modifiers", by.name)), text))
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    if total is None:
        if not needed:
            text = "nothing in the recipe tells how long to train: add 'length: 20ep'"
            raise PlanError(Problem(recipe.locate(()), text))
        return Horizon(steps_per_epoch, needed)
    return clock
