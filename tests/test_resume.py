"""Law: from any step of any run, what was saved goes on bit-identical."""

from __future__ import annotations

import pytest
from torch.optim import lr_scheduler

from tests.loop import OPTIMIZERS, Loop, resumed_anywhere, small_net

PRUNE = {"type": "prune", "sparsity": 0.7, "start": "3st", "end": "7st", "every": "2st"}

TICKETS = {"type": "iterative_prune", "rounds": 2, "every": "1ep"}
RATE = {"type": "lr", "schedule": "cosine", "factor": 0.1, "start": "2st", "end": "8st"}
RESUMED = {
    "prune": {"a": PRUNE, "f": {"type": "freeze_mask", "start": "a.end"}},
    "random": {"p": {**PRUNE, "criterion": "random"}},
    "lr": {"p": PRUNE, "lr": RATE},
    "tickets": {"t": {**TICKETS, "rewind_to": "1ep"}},
    "lr and tickets": {
        "lr": {**RATE, "start": "1st", "end": "5st"},
        "t": {**TICKETS, "rewind_to": "2st"},
    },
    "control": {"t": {**TICKETS, "control": "random_reinit"}},
}


@pytest.mark.parametrize("name", ["sgd, momentum", "adam", "muon"])
@pytest.mark.parametrize("recipe", RESUMED)
def test_resuming_at_any_step_is_bit_identical(recipe: str, name: str) -> None:
    def loop(saved: bytes | None) -> Loop:
        return Loop(
            RESUMED[recipe],
            total=12,
            net=lambda: small_net(bias=False),
            optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
            scheduler=lambda o: lr_scheduler.CosineAnnealingLR(o, 12),
            saved=saved,
        )

    resumed_anywhere(loop)


def test_resuming_is_bit_identical_where_gradients_come_in_a_closure() -> None:
    def loop(saved: bytes | None) -> Loop:
        return Loop({"p": {**PRUNE, "end": "5st"}}, total=9, closure=True, saved=saved)

    resumed_anywhere(loop)
