"""What happens at every update, under Lightning: once an update, right before clipping."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from pruneflow import RecipeCallback
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

PRESS = {"type": "regularize", "kind": "l1", "strength": 100.0, "start": "6st"}
STILL = {"type": "trainable", "value": False, "targets": ["body.0", "body.1"], "start": "6st"}


class Gradients(pl.Callback):
    """Notes what the optimizer is about to use, after clipping."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        def note(*_: Any) -> None:
            named = pl_module.named_parameters()
            self.seen.append({n: p.grad.clone() for n, p in named if p.grad is not None})

        trainer.optimizers[0].register_step_post_hook(note)


def gradients(modifier: dict[str, Any], **options: Any) -> list[dict[str, torch.Tensor]]:
    noted, recipe = Gradients(), RecipeCallback(build({"modifiers": {"it": modifier}}))
    toy.fit([recipe, noted], **{"max_epochs": 1, **options})
    assert recipe.is_complete
    return noted.seen


@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed"}], ids=str)
def test_a_penalty_is_clipped_along_with_the_loss(options: dict[str, Any]) -> None:
    seen = gradients(PRESS, gradient_clip_val=1.0, **options)
    for step, gradient in enumerate(seen):
        norm = torch.stack([g.norm() for g in gradient.values()]).norm()
        assert norm <= 1.001
        others = gradient["body.4.bias"].norm()  # crowded out by the penalty
        assert (others < 0.01) == (step >= 6), step


def test_a_penalty_counts_once_for_an_update_of_several_batches() -> None:
    weak = {**PRESS, "start": "0st"}
    seen = gradients(weak, accumulate_grad_batches=3, max_epochs=2)
    assert len(seen) == 2 * toy.STEPS // 3
    sizes = torch.stack([gradient["body.4.weight"].abs().mean() for gradient in seen])
    torch.testing.assert_close(sizes, torch.full_like(sizes, 100.0), atol=1, rtol=0)


def test_what_does_not_train_has_no_gradient_at_the_update() -> None:
    for step, gradient in enumerate(gradients(STILL, accumulate_grad_batches=1)):
        assert ("body.0.weight" in gradient) == ("body.1.bias" in gradient) == (step < 6)
        assert "body.4.weight" in gradient
