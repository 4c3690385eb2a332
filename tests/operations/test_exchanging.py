"""Laws of exchanging weights: counts stay, the smallest go, the highest-scoring grow from zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim

from pruneflow.errors import NonFiniteError, TrainingError
from pruneflow.network import Network
from pruneflow.operations.exchanging import exchange, grow_all
from pruneflow.state import PruneState
from pruneflow.timeline import exact, nearest
from tests.operations.independent import exchanged
from tests.strategies import weights


def network(weight: torch.Tensor, kept: torch.Tensor, score: torch.Tensor | None) -> Network:
    """One layer with a mask and gathered scores."""
    model = nn.ParameterDict({"w": nn.Parameter(weight.clone())})
    made = Network(model, [], [], PruneState(), 0)
    made.install({"w": kept})
    if score is not None:
        made.state.scores["key"] = {"w": score}
    return made


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """Weights, which of them are left, gradients with many ties, and a share."""
    weight = draw(weights())
    size = weight.numel()
    kept = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    gradient = draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    share = draw(st.integers(0, 1000)) / 1000
    return weight, torch.tensor(kept), torch.tensor(gradient).float(), share


@given(exchanges())
def test_the_smallest_go_and_those_with_the_largest_gradient_grow(
    drawn: tuple[torch.Tensor, torch.Tensor, torch.Tensor, float],
) -> None:
    weight, kept, gradient, share = drawn
    made = network(weight, kept, gradient)
    exchange(made, ["w"], share, "gradient", "key")
    mask, now = made.state.masks["w"].ne(0), made.weights["w"].detach()
    count = nearest(exact(share) * int(kept.sum()))
    assert mask.sum() == kept.sum()
    assert torch.equal(mask, exchanged(weight, kept, gradient.abs(), count))
    assert torch.equal(now[mask & kept], weight[mask & kept])
    new = now[~(mask & kept)]
    assert not bool(new.any() | new.signbit().any())
    assert "key" not in made.state.scores


@given(exchanges(), st.integers(0, 5))
def test_random_growth_keeps_counts_and_is_repeatable(
    drawn: tuple[torch.Tensor, torch.Tensor, torch.Tensor, float], seed: int
) -> None:
    weight, kept, _, share = drawn
    masks = []
    for _ in range(2):
        made = network(weight, kept, None)
        made.seed = seed
        exchange(made, ["w"], share, "random", "key")
        masks.append(made.state.masks["w"].ne(0))
    assert torch.equal(*masks)
    assert masks[0].sum() == kept.sum()


def test_random_growth_reaches_every_pruned_place() -> None:
    weight, kept = torch.arange(1.0, 21.0), torch.arange(20) % 2 == 0
    grown = torch.zeros(20, dtype=torch.bool)
    for seed in range(40):
        made = network(weight, kept, None)
        made.seed = seed
        exchange(made, ["w"], 0.3, "random", "key")
        grown |= made.state.masks["w"].ne(0)
    assert grown.all()


def test_what_grows_has_no_momentum() -> None:
    model = nn.Linear(4, 2, bias=False)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    made = Network(model, [optimizer], [], PruneState(), 0)
    kept = torch.tensor([[True, True, True, False], [True, False, False, True]])
    made.install({"weight": kept})
    made.state.scores["key"] = {"weight": torch.arange(8.0).view(2, 4)}
    exchange(made, ["weight"], 0.4, "gradient", "key")
    memory = optimizer.state[model.weight]["momentum_buffer"]
    stayed = kept & made.state.masks["weight"].ne(0)
    assert stayed.sum() < kept.sum()
    assert bool(memory[stayed].all())
    assert not bool(memory[~stayed].any())


def test_a_layer_whose_gradient_was_not_finite_stays_as_it_is() -> None:
    weight, kept = torch.arange(1.0, 9.0), torch.arange(8) < 4
    made = network(weight, kept, torch.full((8,), torch.nan))
    exchange(made, ["w"], 0.5, "gradient", "key")
    assert torch.equal(made.state.masks["w"].ne(0), kept)
    assert torch.equal(made.weights["w"].detach(), weight * kept)


def test_without_a_gradient_it_says_which_layer() -> None:
    made = network(torch.ones(4), torch.tensor([True, False, True, True]), None)
    with pytest.raises(TrainingError, match="'w' is to be scored by gradients"):
        exchange(made, ["w"], 0.5, "gradient", "key")


def test_a_network_that_diverged_is_not_exchanged() -> None:
    made = network(torch.tensor([1.0, torch.nan]), torch.tensor([True, True]), torch.ones(2))
    with pytest.raises(NonFiniteError):
        exchange(made, ["w"], 0.5, "gradient", "key")


@given(weights())
def test_everything_grows_back_from_zero(weight: torch.Tensor) -> None:
    kept = torch.arange(weight.numel()) % 3 == 0
    made = network(weight, kept, None)
    grow_all(made, ["w"])
    assert made.zeros == {"w": 0}
    now = made.weights["w"].detach()
    assert torch.equal(now[kept], weight[kept])
    assert not bool(now[~kept].any() | now[~kept].signbit().any())
