"""``oneshot_prune`` in a run: what a criterion chooses is installed, exactly, and stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from pruneflow.errors import FrozenMaskError, NonFiniteError, TrainingError
from pruneflow.operations.batches import copied
from pruneflow.operations.calibrating import Held
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.oneshot import ONESHOT
from tests.loop import OPTIMIZERS, Loop, Watched, bits
from tests.pruning.oneshot.subjects import carry_out

SIZES = {"0.weight": 128, "2.weight": 192, "5.weight": 48}
SETTINGS: dict[str, dict[str, int]] = {"synflow": {"rounds": 5}, "sparsegpt": {"block_size": 8}}

criteria = pytest.mark.parametrize("criterion", list(ONESHOT))


def net() -> nn.Sequential:
    """8-16-12-4 with dropout; every layer can be 2:4."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 4)
    )


def once(criterion: str, **more: Any) -> dict[str, Any]:
    own = SETTINGS.get(criterion, {})
    return {"type": "oneshot_prune", "criterion": criterion, "start": "5st", **own, **more}


def loop_of(**modifiers: dict[str, Any]) -> Loop:
    def adam(model: nn.Module) -> Any:
        return OPTIMIZERS["adam"](model.parameters())

    return Loop(modifiers, total=9, net=net, optimizer=adam)


@criteria
@pytest.mark.parametrize("granularity", ["unstructured", "2:4"])
def test_it_installs_what_the_criterion_chooses(criterion: str, granularity: str) -> None:
    share = {"sparsity": 0.5} if granularity == "unstructured" else {}
    it = once(criterion, granularity=granularity, allocation="uniform", batches=3, **share)
    loop = loop_of(it=it).run(5)
    later = loop_of(it={**it, "start": "9st"}).run(5)
    watched = Watched(8)
    watched.inputs = watched.inputs[:3]
    changes = carry_out(
        ONESHOT[criterion](**SETTINGS.get(criterion, {})),
        later.model,
        Quota.fixed({name: size // 2 for name, size in SIZES.items()}),
        watched,
        granularity=NM(2, 4) if granularity == "2:4" else UNSTRUCTURED,
    )
    for name, change in changes.items():
        assert torch.equal(loop.masks[name], ~change.pruned)
    assert bits(loop.weights) == bits(later.weights)


@criteria
def test_counts_are_exact_and_layers_live(criterion: str) -> None:
    loop = loop_of(it=once(criterion, sparsity=0.77)).run(5)
    left = {name: int(mask.sum()) for name, mask in loop.masks.items()}
    if ONESHOT[criterion].layerwise:
        assert left == {name: size - round(0.77 * size) for name, size in SIZES.items()}
    assert sum(left.values()) == 368 - round(0.77 * 368) or ONESHOT[criterion].layerwise
    assert min(left.values()) > 0


@criteria
def test_what_is_pruned_stays_pruned(criterion: str) -> None:
    early = {"type": "prune", "sparsity": 0.4, "allocation": "uniform", "start": "2st"}
    loop = loop_of(early=early, it=once(criterion, sparsity=0.6))
    before = loop.run(4).masks
    after = loop.run(9).masks
    assert all(not bool((after[name] & ~before[name]).any()) for name in SIZES)
    assert loop.engine.sparsity == pytest.approx(0.6, abs=0.01)


def test_the_optimizer_forgets_what_is_pruned_and_nothing_else() -> None:
    it = once("sparsegpt", sparsity=0.5)
    loop, other = loop_of(it=it).run(5), loop_of(it={**it, "start": "9st"}).run(5)
    for name, weight in loop.model.named_parameters():
        mine = loop.optimizers[0].state[weight]["exp_avg"]
        theirs = other.optimizers[0].state[other.model.get_parameter(name)]["exp_avg"]
        mask = loop.masks.get(name, torch.ones_like(mine, dtype=torch.bool))
        assert torch.equal(mine, theirs * mask)


def test_sparsegpt_writes_weights_that_the_next_update_goes_on_from() -> None:
    loop = loop_of(it=once("sparsegpt", sparsity=0.5)).run(4)
    before = loop.weights
    loop.step()
    kept = loop.masks["2.weight"]
    moved = (loop.weights["2.weight"] - before["2.weight"])[kept].abs().max()
    assert moved > 0.02  # an update of Adam is 0.01


class Drawing(Watched):
    """Batches that are augmented at random, by whatever generator comes first."""

    def batches(self) -> Iterator[torch.Tensor]:
        for batch in self.inputs:
            yield batch + torch.randn(batch.shape)

    def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return super().loss(model, batch + torch.randn(batch.shape))


@criteria
def test_random_numbers_of_the_training_are_not_drawn(criterion: str) -> None:
    def run(start: str, noise: int) -> tuple[Any, Any]:
        loop = loop_of(it=once(criterion, sparsity=0.5, start=start))
        loop.engine.network.calibration = Drawing(8)
        loop.run(4)
        torch.manual_seed(noise)
        loop.run(5)
        return loop.masks, torch.get_rng_state()

    masks, state = run("5st", noise=1)
    _, undisturbed = run("9st", noise=1)
    assert torch.equal(state, undisturbed)
    calm = loop_of(it=once(criterion, sparsity=0.5))
    calm.run(5)
    if criterion != "synflow":  # which looks at no values
        assert bits(masks) != bits(calm.masks)


def test_a_forward_that_writes_into_its_input_sees_the_same_batches_every_time() -> None:
    pairs = [{"x": [torch.ones(2, 3), "text"]}, (torch.ones(2), 4)]
    watched = Watched(3)
    watched.inputs = pairs  # type: ignore[assignment]
    held = Held(watched, 2)
    for _ in range(2):
        first, second = held.batches()
        assert float(first["x"][0].add_(1).mean()) == 2
        assert first["x"][1] == "text"
        assert float(second[0].mul_(0).sum()) == 0
    packed = pack_sequence([torch.ones(2), torch.ones(1)])
    (copy,) = copied((packed,))
    copy.data.zero_()
    assert float(packed.data.sum()) == 3


def test_a_frozen_mask_is_not_pruned() -> None:
    loop = loop_of(it=once("wanda", sparsity=0.5)).run(4)
    loop.engine.network.freeze(list(SIZES))
    with pytest.raises(FrozenMaskError, match="is frozen, but at step 5"):
        loop.step()


def test_weights_that_are_not_finite_are_an_error() -> None:
    loop = loop_of(it=once("wanda", sparsity=0.5)).run(4)
    with torch.no_grad():
        loop.model.get_parameter("2.weight")[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"'0\.weight'|'2\.weight'"):
        loop.step()


def test_without_calibration_it_says_so() -> None:
    loop = loop_of(it=once("wanda", sparsity=0.5)).run(4)
    loop.engine.network.calibration = None
    with pytest.raises(TrainingError, match=r"modifiers\.it: needs calibration batches"):
        loop.step()
