"""RigL and SET: the papers' schedule, exact counts, and who goes and who grows."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn, optim

import pruneflow
from pruneflow import RecipeCallback
from pruneflow.errors import PlanError, TrainingError
from pruneflow.pruning.allocation import ALLOCATIONS, Guard
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.schema import build
from pruneflow.timeline import exact, nearest
from tests.lightning_side import toy
from tests.loop import Loop, bits, plan_of, small_net
from tests.operations.independent import exchanged, gradients

RIGL = {"type": "dynamic_sparse", "sparsity": 0.6, "every": "2st", "end": "9st"}
EXCHANGES = (2, 4, 6, 8)


def shares(total: int = 12, **words: Any) -> list[tuple[int, float]]:
    """Steps and shares of the exchanges."""
    plan = plan_of({"it": {**RIGL, **words}}, total=total)
    return [(e.step, e.share) for e in plan.events if e.action == "regrow"]


def test_the_share_falls_along_half_a_cosine() -> None:
    """Evci et al. 2020: f(t) = a/2 (1 + cos(pi t / T)), here with a = 0.3 and T = 12."""
    found = shares(every="2st", end="12st")
    assert [step for step, _ in found] == [2, 4, 6, 8, 10]
    assert [share for _, share in found] == pytest.approx(
        [0.2799038106, 0.225, 0.15, 0.075, 0.0200961894], abs=1e-10
    )


def test_it_falls_from_where_it_starts() -> None:
    assert shares(start="4st", every="2st", end="8st") == [(6, pytest.approx(0.15))]
    found = shares(start="3st", every="3st", end="12st", drop_fraction=0.8)
    assert found == [(6, pytest.approx(0.6)), (9, pytest.approx(0.2))]


@pytest.mark.parametrize("growth", ["gradient", "random"])
@pytest.mark.parametrize("allocation", ["erk", "uniform", "global"])
def test_every_layer_keeps_its_number_of_zeros(allocation: str, growth: str) -> None:
    loop = Loop({"it": {**RIGL, "allocation": allocation, "growth": growth}}, total=12)
    zeros, masks = loop.engine.network.zeros, loop.masks
    quota = ALLOCATIONS[allocation](find_layers(small_net()), 0.6, Guard())
    assert quota.layers in (None, zeros)
    changed = []
    while loop.clock < 12:
        loop.step()
        assert loop.engine.network.zeros == zeros
        if bits(loop.masks) != bits(masks):
            changed.append(loop.clock)
        masks = loop.masks
    assert changed == [2, 4, 6], "at 8 of 9 less than half a weight is exchanged"
    assert sum(zeros.values()) == round(0.6 * loop.plan.size)


@pytest.mark.parametrize("clip", [None, 0.01])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_smallest_go_and_the_largest_gradients_of_the_batch_grow(
    accumulate: int, clip: float | None
) -> None:
    loop = Loop({"it": RIGL}, total=12, accumulate=accumulate)
    [optimizer] = loop.optimizers
    trained: list[dict[str, torch.Tensor]] = []
    optimizer.register_step_post_hook(lambda *_: trained.append(loop.weights))
    if clip is not None:
        backward = loop._backward
        loop._backward = lambda step: (  # type: ignore[method-assign]
            backward(step),
            loop.engine.mask_gradients(),
            nn.utils.clip_grad_norm_(loop.model.parameters(), clip),
        )[0]
    grown = 0
    while loop.clock < 12:
        dense, before = gradients(loop), loop.masks
        loop.step()
        if loop.clock not in EXCHANGES:
            continue
        share = dict(shares())[loop.clock]
        for name, mask in loop.masks.items():
            old, now = trained[-1][name], loop.weights[name]
            count = nearest(exact(share) * int(before[name].sum()))
            assert torch.equal(mask, exchanged(old, before[name], dense[name].abs(), count))
            assert torch.equal(now[mask & before[name]], old[mask & before[name]])
            new = mask & ~before[name]
            grown += int(new.sum())
            memory = optimizer.state[loop.model.get_parameter(name)]["momentum_buffer"]
            assert not bool(now[new].any() | now[new].signbit().any() | memory[new].any())
    assert grown > 5


def test_random_growth_depends_on_the_seed_alone() -> None:
    masks = [
        bits(Loop({"it": {**RIGL, "growth": "random"}}, total=12, seed=seed).run().masks)
        for seed in (0, 0, 1)
    ]
    assert masks[0] == masks[1] != masks[2]


def test_a_dense_network_may_be_pruned_by_magnitude_first() -> None:
    words = {**RIGL, "start": "3st", "criterion": "magnitude", "allocation": "uniform"}
    loop = Loop({"it": words}, total=12).run(2)
    trained: list[dict[str, torch.Tensor]] = []
    loop.optimizers[0].register_step_post_hook(lambda *_: trained.append(loop.weights))
    loop.step()
    for name, mask in loop.masks.items():
        size = trained[-1][name].abs()
        assert size[~mask].max() <= size[mask].min()


# -- however one trains --------------------------------------------------------------------

TOY = {"modifiers": {"it": {**RIGL, "every": "4st", "end": "30st", "drop_fraction": 0.6}}}


class Manual(toy.Toy):
    """Two backward passes an update, gradients clipped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        optimizer = self.optimizers()
        self.manual_backward(self.loss(batch) / 2)
        if index % 2:
            self.clip_gradients(optimizer, 0.05, "norm")
            optimizer.step()
            optimizer.zero_grad()


def without_noise(kind: type[toy.Toy]) -> Any:
    """Makes the network without dropout, so that all ways of training see the same numbers."""

    def make() -> Any:
        torch.manual_seed(3)
        module = kind()
        module.body[3] = nn.Identity()
        module.configure_optimizers = lambda: optim.SGD(module.parameters(), 0.1, momentum=0.9)  # type: ignore[method-assign]
        return module

    return make


def by_hand() -> Any:
    module = without_noise(toy.Toy)()
    optimizer = module.configure_optimizers()
    pruning = pruneflow.prune(module, build(TOY), optimizer=optimizer, steps_per_epoch=6, steps=36)
    loader = toy.Batches()
    for _ in range(6):
        for index, (x, y) in enumerate(loader):
            (F.cross_entropy(module.body(x), y) / 2).backward()
            if index % 2:
                nn.utils.clip_grad_norm_(module.parameters(), 0.05)
                optimizer.step()
                optimizer.zero_grad()
            pruning.step()
    return pruning.engine


@pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)
def test_lightning_and_a_loop_of_ones_own_make_the_same_masks() -> None:
    """With gradients accumulated over two batches, and clipped."""
    hand = by_hand()
    assert [e["event"] for e in hand.state.journal] == ["prune"] + ["regrow"] * 7
    ways: list[tuple[Any, dict[str, Any]]] = [
        (toy.Toy, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.05}),
        (Manual, {}),
    ]
    for kind, options in ways:
        recipe = RecipeCallback(build(TOY), steps_per_epoch=6)
        pl.seed_everything(1, verbose=False)
        toy.fit([recipe], without_noise(kind), max_epochs=6, **options)
        assert recipe.engine is not None
        assert bits(recipe.engine.state.masks) == bits(hand.state.masks)


def test_gradients_that_come_in_a_closure_are_too_late() -> None:
    loop = Loop({"it": RIGL}, total=12, closure=True).run(1)
    with pytest.raises(TrainingError, match=r"modifiers\.it: needs gradients before an update"):
        loop.step()


def test_a_loop_of_ones_own_has_to_pass_its_optimizer() -> None:
    with pytest.raises(PlanError, match=r"modifiers\.it: needs gradients: pass prune"):
        pruneflow.prune(small_net(), build({"modifiers": {"it": RIGL}}), steps_per_epoch=3)
