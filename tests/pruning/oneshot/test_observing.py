"""Laws of observing: sums over all inputs, and no trace left on the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.errors import NonFiniteError, TrainingError
from pruneflow.pruning.oneshot.observing import gram, observe, order_of_calls, squares
from tests.pruning.oneshot.subjects import WEIGHTS, Batches, convolutional


def of(inputs: torch.Tensor, sizes: list[int]) -> Batches:
    return Batches([(part, torch.zeros(0)) for part in inputs.split(sizes)])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.sampled_from([squares, gram]))
def test_sums_do_not_depend_on_how_samples_are_batched(sizes: list[int], moment: Any) -> None:
    inputs = torch.randint(-9, 10, (sum(sizes), 6)).float()
    layer = nn.Sequential(nn.Linear(6, 2))
    (expected,) = moment(inputs.double()[None])
    for batches in (of(inputs, sizes), of(inputs, [len(inputs)])):
        assert torch.equal(observe(layer, "0.weight", batches, moment)[0], expected)


def test_moments_are_sums_over_samples() -> None:
    rows = torch.tensor([[[1.0, 2.0], [3.0, -1.0]]])
    assert squares(rows).tolist() == [[10, 5]]
    assert gram(rows).tolist() == [[[10, -1], [-1, 5]]]


class Backwards(nn.Module):
    """Layers defined in another order than they are called in; one is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 3)
        self.first = nn.Linear(3, 3)
        self.idle = nn.Linear(3, 3)

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.last(input=self.last(self.first(inputs)))


def test_layers_come_in_the_order_of_their_calls() -> None:
    batches = of(torch.ones(2, 3), [1, 1])
    assert order_of_calls(Backwards(), ["last.weight", "first.weight"], batches) == [
        "first.weight",
        "last.weight",
    ]


def test_every_call_of_a_layer_counts() -> None:
    model, inputs = Backwards(), torch.randn(4, 3)
    once = model.first(inputs).detach()
    twice = model.last(once).detach()
    found = observe(model, "last.weight", of(inputs, [4]), squares)
    assert torch.allclose(found[0], (once.double() ** 2 + twice.double() ** 2).sum(0))


def test_layers_that_share_a_weight_are_seen_together() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    inputs = torch.randn(4, 3)
    hidden = model[0](inputs).detach()
    found = observe(model, "0.weight", of(inputs, [4]), squares)
    assert torch.allclose(found[0], (inputs.double() ** 2 + hidden.double() ** 2).sum(0))


def test_a_layer_that_is_never_called_is_an_error() -> None:
    batches = of(torch.ones(2, 3), [2])
    with pytest.raises(TrainingError, match=r"no calibration batch reaches 'idle\.weight'"):
        order_of_calls(Backwards(), ["idle.weight", "first.weight"], batches)
    with pytest.raises(TrainingError, match=r"no calibration batch reaches 'idle\.weight'"):
        observe(Backwards(), "idle.weight", batches, squares)
    with pytest.raises(TrainingError, match="there are no batches"):
        order_of_calls(Backwards(), ["first.weight"], Batches([]))


def test_a_weight_that_multiplies_no_rows_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"'0\.weight' is the weight of a ConvTranspose2d"):
        observe(nn.Sequential(nn.ConvTranspose2d(2, 2, 2)), "0.weight", Batches([]), squares)


def test_inputs_that_are_not_finite_are_an_error() -> None:
    batches = of(torch.tensor([[1.0, torch.nan, 0.0]]), [1])
    with pytest.raises(NonFiniteError, match=r"inputs of 'first\.weight'"):
        observe(Backwards(), "first.weight", batches, squares)


def test_dropout_sleeps_and_everything_wakes_as_it_was() -> None:
    model, batches = convolutional()
    model[1].eval()
    flags = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    one, other = (observe(model, WEIGHTS[2], batches, gram) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == flags
    assert model[0].weight.grad is None


def test_an_error_inside_leaves_no_hook_behind() -> None:
    model = Backwards()
    model.train()
    with pytest.raises(RuntimeError, match="shapes"):
        observe(model, "last.weight", of(torch.ones(2, 5), [2]), squares)
    assert all(not module._forward_pre_hooks for module in model.modules())
    assert all(module.training for module in model.modules())


class Traces(nn.Module):
    """Changes its weight with its mode, and puts other buffers in the places of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("latest", None)

    def train(self, mode: bool = True) -> Traces:
        with torch.no_grad():
            self.first.weight.add_(1.0)
        return super().train(mode)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls = self.calls + 1
        self.latest = inputs
        return self.first(inputs)  # type: ignore[no-any-return]


def test_modes_and_buffers_of_a_forward_that_leaves_traces_come_back() -> None:
    model = Traces()
    weight, calls = model.first.weight.detach().clone(), model.calls
    observe(model, "first.weight", of(torch.ones(2, 3), [2]), squares)
    assert torch.equal(model.first.weight, weight)
    assert model.calls is calls
    assert float(calls) == 0
    assert model.latest is None
