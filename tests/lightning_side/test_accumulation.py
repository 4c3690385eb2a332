"""A scheduler of gradient accumulation: the plan's updates are made, or the plan is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pytorch_lightning.callbacks import GradientAccumulationScheduler

from pruneflow import RecipeCallback
from pruneflow.errors import PlanError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

Schedule = dict[int, int]


def fitted(schedule: Schedule, **options: Any) -> RecipeCallback:
    prune = {"type": "prune", "start": "10%", "end": "90%", "every": "1st", "sparsity": 0.8}
    recipe = RecipeCallback(build({"modifiers": {"prune": prune}}))
    toy.fit([recipe, GradientAccumulationScheduler(schedule)], max_epochs=4, **options)
    return recipe


@pytest.mark.parametrize(
    ("schedule", "batches"),
    [({0: 1}, 1), ({0: 4}, 4), ({0: 5}, 5), ({0: 4, 2: 4}, 4), ({0: 3, 4: 1}, 3), ({7: 2}, 1)],
)
def test_what_is_planned_is_what_is_made(schedule: Schedule, batches: int) -> None:
    recipe = fitted(schedule)
    assert recipe.plan is not None
    assert recipe.plan.total == 4 * -(-toy.STEPS // batches)
    assert recipe.clock == recipe.plan.total
    assert recipe.engine is not None
    assert recipe.engine.sparsity == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("schedule", "told"),
    [({0: 1, 2: 4}, "1 from epoch 0, 4 from epoch 2"), ({3: 2}, "1 from epoch 0, 2 from epoch 3")],
)
@pytest.mark.parametrize("options", [{}, {"max_steps": 40}])
def test_epochs_of_several_lengths_are_refused_by_the_callbacks_name(
    schedule: Schedule, told: str, options: Any
) -> None:
    words = rf"GradientAccumulationScheduler changes .*\({told}\), and .*accumulate_grad_batches=N"
    with pytest.raises(PlanError, match=words):
        fitted(schedule, **options)


def test_a_run_without_an_end_has_all_epochs_of_the_schedule() -> None:
    with pytest.raises(PlanError, match="2 from epoch 90"):
        toy.fit([RecipeCallback(build(toy.GRADUAL)), GradientAccumulationScheduler({90: 2})],
                max_epochs=-1, max_steps=-1)  # fmt: skip
