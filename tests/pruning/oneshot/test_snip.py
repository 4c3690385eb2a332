"""SNIP: its saliency by hand, and gradients that leave no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.errors import NonFiniteError, TrainingError
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.oneshot.snip import Snip, snip_scores
from tests.pruning.oneshot.subjects import Batches, carry_out, convolutional, perceptron


class Squares(Batches):
    """Half the sum of squared errors, so that losses of batches add up."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().sum() / 2


def test_the_saliency_is_the_gradient_times_the_weight() -> None:
    model = perceptron(2, 1)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -3.0]]))
    # outputs 2 * 1 - 3 * 2 = -4; the error to 1 is -5; gradients -5 and -10
    batches = Squares([(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0]]))])
    assert snip_scores(model, ["0.weight"], batches)["0.weight"].tolist() == [[10, 30]]


def test_gradients_of_batches_are_summed_before_they_are_absolute() -> None:
    model = perceptron(1, 1)
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    one = torch.ones(1, 1)
    batches = Squares([(one, one * 1), (one, one * 3)])  # gradients 1 and -1
    assert snip_scores(model, ["0.weight"], batches)["0.weight"].tolist() == [[0]]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_sums_do_not_depend_on_how_samples_are_batched(sizes: list[int]) -> None:
    model = perceptron(3, 4, 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randint(-3, 4, weight.shape))
    inputs, targets = torch.randint(-3, 4, (2, sum(sizes), 3)).float()
    pairs = list(zip(inputs.split(sizes), targets[:, :2].split(sizes), strict=True))
    names = ["0.weight", "2.weight"]
    found = snip_scores(model, names, Squares(pairs))
    expected = snip_scores(model, names, Squares([(inputs, targets[:, :2])]))
    assert all(torch.equal(found[name], expected[name]) for name in names)


def test_a_global_quota_takes_the_lowest_of_all_layers() -> None:
    model, batches = convolutional()
    names = ["0.weight", "7.weight"]
    scores = snip_scores(model, names, batches)
    caps = {name: score.numel() for name, score in scores.items()}
    changes = carry_out(Snip(), model, Quota(500, None, caps), batches, names=names)
    gone = torch.cat([scores[name][changes[name].pruned] for name in names])
    left = torch.cat([scores[name][~changes[name].pruned] for name in names])
    assert len(gone) == 500
    assert float(gone.max()) <= float(left.min())


def test_batch_norm_uses_the_batch_and_remembers_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[1].running_mean.fill_(1e6)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    batches = Batches([(torch.randn(8, 2), torch.randint(0, 2, (8,)))])
    scores = snip_scores(model, ["2.weight"], batches)["2.weight"]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    loss = nn.functional.cross_entropy(model(batches.example), batches.pairs[0][1])
    (gradient,) = torch.autograd.grad(loss, model[2].weight)
    assert torch.allclose(scores, (gradient * model[2].weight).abs().double())


def test_frozen_parameters_are_scored_and_stay_frozen() -> None:
    model, batches = convolutional()
    model[0].weight.requires_grad_(False)
    with torch.no_grad():
        scores = snip_scores(model, ["0.weight"], batches)
    assert float(scores["0.weight"].max()) > 0
    assert not model[0].weight.requires_grad


def test_what_cannot_be_scored_is_named() -> None:
    model, batches = convolutional()
    with pytest.raises(TrainingError, match="there are none"):
        snip_scores(model, ["0.weight"], Batches([]))
    model.idle = nn.Linear(2, 2)
    model.forward = lambda inputs: nn.Sequential(*list(model)[:-1])(inputs)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"does not depend on 'idle\.weight'"):
        snip_scores(model, ["idle.weight"], batches)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    inputs = torch.full((1, 2), torch.inf)
    with pytest.raises(NonFiniteError, match=r"gradients at '0\.weight'"):
        snip_scores(perceptron(2, 2), ["0.weight"], Batches([(inputs, torch.zeros(1).long())]))


def test_a_loss_of_several_numbers_is_an_error() -> None:
    class Unreduced(Batches):
        def loss(self, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return model(batch[0]).sum(1)

    batches = Unreduced([(torch.ones(3, 2), torch.zeros(3).long())])
    with pytest.raises(TrainingError, match=r"has shape \[3\]: it needs to be one number"):
        snip_scores(perceptron(2, 2), ["0.weight"], batches)
