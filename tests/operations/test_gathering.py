"""Laws of gathered scores: the papers' sums over real updates, forgotten when not needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.errors import TrainingError
from pruneflow.modifiers.duties import Gathering
from pruneflow.network import Network
from pruneflow.operations.gathering import gather, mask_gradients
from pruneflow.pruning.criteria import CRITERIA, Criterion
from pruneflow.pruning.gathering import GatheredScore
from pruneflow.pruning.growth import GROWTHS
from pruneflow.state import PruneState
from tests.loop import OPTIMIZERS, Loop, bits, resumed_anywhere
from tests.operations.independent import gradients

RAMP = {"type": "prune", "sparsity": 0.6, "start": "2st", "end": "8st", "every": "3st"}
EVENTS = (2, 5, 8)

Scores = dict[str, torch.Tensor]


def scores_at_events(loop: Loop) -> list[Scores]:
    """Is filled with what events look at."""
    seen: list[Scores] = []
    network = loop.engine.network
    scored = network.scored

    def note(*arguments: Any) -> Scores:
        seen.append({name: score.clone() for name, score in scored(*arguments).items()})
        return scored(*arguments)

    network.scored = note  # type: ignore[method-assign]
    return seen


def by_hand(criterion: str, past: list[tuple[Scores, Scores]]) -> Scores:
    """The score of every weight from all weights and gradients since the score's beginning."""
    total: Scores = {}
    for weights, masked in past[-1:] if criterion == "snip" else past:
        for name, gradient in masked.items():
            effect = weights[name] * gradient
            term = {"movement": -effect, "snip": effect.abs(), "taylor": effect**2}[criterion]
            total[name] = total[name] + term if name in total else term
    return total


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("criterion", ["movement", "snip", "taylor"])
def test_scores_are_the_sums_of_the_papers(criterion: str, accumulate: int) -> None:
    loop = Loop({"prune": {**RAMP, "criterion": criterion}}, total=10, accumulate=accumulate)
    seen, expected = scores_at_events(loop), []
    past: list[tuple[Scores, Scores]] = []
    while loop.clock < EVENTS[-1]:
        mask = {name: mask.float() for name, mask in loop.masks.items()}
        masked = {name: g * mask.get(name, 1) for name, g in gradients(loop).items()}
        past.append((loop.weights, masked))
        loop.step()
        if loop.clock in EVENTS:
            expected.append(by_hand(criterion, past))
            past = past if criterion == "movement" else []
    assert len(seen) == len(expected) == len(EVENTS)
    for scores, sums in zip(seen, expected, strict=True):
        for name, score in scores.items():
            torch.testing.assert_close(score, sums[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("criterion", ["movement", "snip", "taylor"])
def test_the_lowest_scores_are_pruned(criterion: str) -> None:
    loop = Loop({"prune": {**RAMP, "criterion": criterion}}, total=10)
    seen = scores_at_events(loop)
    while loop.clock < EVENTS[-1]:
        before = loop.masks
        loop.step()
        if loop.clock in EVENTS and before:
            gone = [seen[-1][n][before[n] & ~m] for n, m in loop.masks.items()]
            kept = [seen[-1][n][m] for n, m in loop.masks.items()]
            assert torch.cat(gone).max() <= torch.cat(kept).min()


@pytest.mark.parametrize("criterion", ["movement", "snip", "taylor"])
def test_scores_are_there_while_they_are_needed(criterion: str) -> None:
    loop = Loop({"prune": {**RAMP, "criterion": criterion}}, total=10)
    there = []
    while loop.clock < 10:
        loop.step()
        there.append(bool(loop.engine.state.scores))
    wanted = {
        "movement": [True] * 7 + [False] * 3,
        "taylor": [True, False, True, True, False, True, True, False, False, False],
        "snip": [False] * 10,
    }
    assert there == wanted[criterion]


@pytest.mark.parametrize(
    "words",
    [{"criterion": "movement"}, {"criterion": "snip"}, {"criterion": "taylor"}, {"regrow": 0.5},
     {"criterion": "taylor", "regrow": 0.3, "initial_sparsity": 0.2}],
    ids=str,
)  # fmt: skip
def test_resuming_at_any_step_is_bit_identical(words: dict[str, Any]) -> None:
    def loop(saved: bytes | None) -> Loop:
        adam = OPTIMIZERS["adam"]
        return Loop(
            {"prune": {**RAMP, **words}},
            total=10,
            optimizer=lambda model: adam(model.parameters()),
            saved=saved,
            accumulate=2,
        )

    resumed_anywhere(loop)


# -- one layer at a time -------------------------------------------------------------------


def layer(score: Criterion) -> tuple[Network, list[Gathering]]:
    """Six weights, half of them pruned, and who gathers for them."""
    made = Network(
        nn.ParameterDict({"w": nn.Parameter(torch.arange(1.0, 7.0))}), [], [], PruneState(), 0
    )
    made.install({"w": torch.tensor([True, True, True, False, False, False])})
    assert isinstance(score, GatheredScore)
    return made, [Gathering("it", 0, 9, ("w",), score, "key")]


def update(made: Network, gatherings: list[Gathering], *passes: float, clip: float = 1.0) -> None:
    """Backward passes of one gradient for all six, masked as they come, clipped, and used."""
    weight = made.weights["w"]
    weight.grad = None
    for gradient in passes:
        added = torch.full((6,), gradient)
        weight.grad = added if weight.grad is None else weight.grad + added
        mask_gradients(made, gatherings, ["w"])
    assert weight.grad is not None
    weight.grad *= clip
    gather(made, gatherings, ["w"])


@pytest.mark.parametrize("criterion", ["movement", "taylor"])
def test_gradients_that_are_not_finite_are_skipped(criterion: str) -> None:
    made, gatherings = layer(CRITERIA[criterion])
    update(made, gatherings, 2.0)
    before = bits(made.state.scores)
    update(made, gatherings, float("nan"))
    update(made, gatherings, float("inf"))
    assert bits(made.state.scores) == before


def test_of_an_update_that_is_skipped_nothing_is_known() -> None:
    made, gatherings = layer(CRITERIA["snip"])
    update(made, gatherings, 2.0)
    update(made, gatherings, float("inf"))
    assert made.state.scores["key"]["w"].isnan().all()
    with pytest.raises(TrainingError, match="those of its update are not finite, and the update"):
        made.scored(["w"], CRITERIA["snip"], "key")
    update(made, gatherings, 2.0)
    assert made.scored(["w"], CRITERIA["snip"], "key")["w"].isfinite().all()
    made, gatherings = layer(GROWTHS["gradient"])
    update(made, gatherings, 2.0, float("inf"), 1.0)
    assert made.state.scores["key"]["w"].isnan().all()
    update(made, gatherings, 2.0)
    assert made.state.scores["key"]["w"].tolist() == [2.0] * 6, "the same update is tried again"


def test_dense_gradients_are_those_of_all_backward_passes_before_they_are_clipped() -> None:
    made, gatherings = layer(GROWTHS["gradient"])
    update(made, gatherings, 2.0, 3.0, 0.5, clip=0.01)
    assert made.state.scores["key"]["w"].tolist() == [5.5] * 6
    assert made.weights["w"].grad.tolist() == pytest.approx([0.055] * 3 + [0.0] * 3)  # type: ignore[union-attr]


def test_what_no_optimizer_moves_is_not_scored() -> None:
    made, gatherings = layer(CRITERIA["movement"])
    made.weights["w"].grad = torch.ones(6)
    gather(made, gatherings, [])
    assert made.state.scores == {}


def test_a_state_that_was_saved_does_not_change_with_the_run() -> None:
    tree = {"prune": {"type": "prune", "sparsity": 0.5, "criterion": "movement", "start": "3ep"}}
    loop = Loop(tree, 12).run(4)
    saved = loop.engine.state.state_dict()
    before = bits(saved["scores"])
    loaded = PruneState.from_state_dict(saved)
    loop.run(6)
    loaded.scores["prune"]["fc1.weight"].zero_()
    assert bits(saved["scores"]) == before


def test_gradients_that_are_scaled_still_are_refused() -> None:
    tree = {"press": {"type": "regularize", "kind": "l1", "strength": 0.1}}
    loop = Loop(tree, 3, optimizer=lambda model: OPTIMIZERS["adamw, fused"](model.parameters()))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    (fused,) = loop.optimizers
    scaler.scale(loop.model(torch.ones(2, 6)).square().mean()).backward()
    with pytest.raises(TrainingError, match=r"call scaler\.unscale_\(optimizer\)"):
        scaler.step(fused)
