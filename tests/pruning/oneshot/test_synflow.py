"""SynFlow: flow is conserved from layer to layer, and no layer dies before its time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruneflow.errors import TrainingError
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.oneshot.synflow import SynFlow, quotas, synflow_scores
from tests.pruning.oneshot.subjects import Batches, carry_out, convolutional, perceptron


def unpruned(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: torch.zeros_like(weight, dtype=torch.bool)
        for name, weight in model.named_parameters()
        if weight.ndim > 1
    }


def test_the_score_is_what_flows_through_a_weight() -> None:
    model = perceptron(2, 2, 1)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [-3.0, 4.0]]))
        model[2].weight.copy_(torch.tensor([[-5.0, 6.0]]))
    scores = synflow_scores(model, unpruned(model), torch.randn(7, 2))
    assert scores["0.weight"].tolist() == [[5, 10], [18, 24]]
    assert scores["2.weight"].tolist() == [[15, 42]]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 8), min_size=3, max_size=5))
def test_flow_is_conserved_at_units_and_layers(widths: list[int]) -> None:
    model = perceptron(*widths)
    scores = list(synflow_scores(model, unpruned(model), torch.zeros(1, widths[0])).values())
    for into, out in pairwise(scores):
        assert torch.allclose(into.sum(1), out.sum(0), rtol=1e-12)
    totals = torch.stack([score.sum() for score in scores])
    assert torch.allclose(totals, totals[0].expand_as(totals), rtol=1e-12)


def test_flow_is_conserved_through_convolutions_and_pooling() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 2, bias=False),
    )
    first, last = synflow_scores(model, unpruned(model), torch.zeros(1, 1, 6, 6)).values()
    assert float(first.sum()) == pytest.approx(float(last.sum()), rel=1e-12)


def test_running_means_take_nothing_away() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 2))
    model[1].running_mean.copy_(torch.tensor([1e3, -1e3]))
    scores = synflow_scores(model, unpruned(model), torch.zeros(1, 2))
    assert all(bool((score > 0).all()) for score in scores.values())


def test_density_falls_by_the_same_factor_every_round() -> None:
    whole = quotas(Quota(990, None, {"a": 1000}), {"a": (1000, 0)}, 4)
    # 1000 times 0.01 to the powers of 1/4, 1/2, 3/4 and 1
    assert [1000 - quota.zeros for quota in whole] == [316, 100, 32, 10]
    whole = quotas(Quota(90, None, {"a": 90, "b": 40}), {"a": (100, 10), "b": (50, 40)}, 2)
    assert [quota.zeros for quota in whole] == [150 - 77, 90]  # 100 left, then the root of 6000
    layers = quotas(Quota.fixed({"a": 99, "b": 50}), {"a": (100, 0), "b": (50, 50)}, 2)
    assert [quota.layers for quota in layers] == [{"a": 90, "b": 50}, {"a": 99, "b": 50}]


def test_no_layer_dies_where_one_round_kills_one() -> None:
    model = perceptron(100, 100, 100, 4, 10)
    marks = unpruned(model)
    sizes = {name: mark.numel() for name, mark in marks.items()}
    quota = Quota(sum(sizes.values()) - 40, None, sizes)
    batches = Batches([(torch.zeros(1, 100), torch.zeros(0))])
    left = {}
    for rounds in (1, 100):
        task = perceptron(100, 100, 100, 4, 10)
        task.load_state_dict(model.state_dict())
        changes = carry_out(SynFlow(rounds), task, quota, batches, names=list(sizes))
        left[rounds] = [int((~change.pruned).sum()) for change in changes.values()]
    assert min(left[1]) == 0
    assert min(left[100]) > 0
    assert sum(left[100]) == 40


def test_zeros_carry_no_flow_and_stay() -> None:
    model = perceptron(3, 3, 2)
    mask = torch.tensor([[0.0, 1, 1], [1, 1, 1], [1, 1, 1]])
    quota = Quota.fixed({"0.weight": 4, "2.weight": 2})
    batches = Batches([(torch.zeros(1, 3), torch.zeros(0))])
    changes = carry_out(SynFlow(10), model, quota, batches, {"0.weight": mask})
    assert bool(changes["0.weight"].pruned[0, 0])


def test_what_cannot_be_scored_is_said() -> None:
    example = torch.zeros(1, 2)
    model = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(1))
    with pytest.raises(TrainingError, match="logits, not their logarithms"):
        synflow_scores(model, unpruned(model), example)
    with pytest.raises(TrainingError, match=r"inputs are torch\.int64"):
        synflow_scores(model, unpruned(model), example.long())
    with pytest.raises(TrainingError, match=r"does not run on one input of shape \[1, 2\] and no"):
        synflow_scores(nn.Bilinear(2, 2, 1), unpruned(nn.Bilinear(2, 2, 1)), example)
    model = perceptron(2, 2)
    model.register_module("idle", nn.Linear(2, 2))
    model.forward = model[0].forward  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"does not depend on 'idle\.weight'"):
        synflow_scores(model, {"idle.weight": torch.zeros(2, 2, dtype=torch.bool)}, example)


class Casting(nn.Module):
    """Runs in single precision, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron(4, 5, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner(inputs.float())  # type: ignore[no-any-return]


def test_a_network_that_casts_its_input_runs_in_its_own_precision() -> None:
    model = Casting()
    marks, example = unpruned(model), torch.zeros(2, 4)
    marks["inner.0.weight"][0, 0] = True
    scores = synflow_scores(model, marks, example)
    exact = synflow_scores(
        model.inner, {name.removeprefix("inner."): mark for name, mark in marks.items()}, example
    )
    for name, score in exact.items():
        torch.testing.assert_close(scores[f"inner.{name}"], score, rtol=1e-5, atol=0)


@pytest.mark.parametrize("wrap", [lambda x: {"logits": x}, lambda x: (x, [x]), lambda x: [x, 3]])
def test_outputs_may_be_nested(wrap: object) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, _ = convolutional()

        def forward(self, inputs: torch.Tensor) -> object:
            return wrap(self.inner(inputs))  # type: ignore[operator]

    scores = synflow_scores(Nested(), unpruned(Nested()), torch.zeros(2, 4, 6, 6))
    assert float(scores["inner.9.weight"].sum()) > 0
