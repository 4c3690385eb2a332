"""Laws of every one-shot criterion: exact counts, n:m, ties by index, a network left alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.oneshot import ONESHOT, OneShot, Task
from tests.pruning.oneshot.subjects import WEIGHTS, Batches, carry_out, convolutional, perceptron

each_criterion = pytest.mark.parametrize("word", list(ONESHOT))


def made(word: str) -> OneShot:
    """A criterion with its own settings, but of few rounds."""
    return ONESHOT[word](**({"rounds": 4} if word == "synflow" else {}))


@each_criterion
@settings(max_examples=12)
@given(data=st.data())
def test_every_layer_loses_exactly_its_quota(word: str, data: st.DataObject) -> None:
    torch.manual_seed(0)
    model, batches = convolutional()
    zeros, masks = {}, {}
    for name in WEIGHTS:
        weight = model.get_parameter(name)
        share = data.draw(st.floats(0, 1))
        masks[name] = (torch.rand(weight.shape) >= share / 2).to(weight)
        earlier = weight.numel() - int(masks[name].sum())
        zeros[name] = data.draw(st.integers(earlier, weight.numel() - 1))
        with torch.no_grad():
            weight.mul_(masks[name])
    del masks[WEIGHTS[0]]  # a layer without a mask
    changes = carry_out(made(word), model, Quota.fixed(zeros), batches, masks)
    assert {name: int(change.pruned.sum()) for name, change in changes.items()} == zeros
    for name, change in changes.items():
        weight = model.get_parameter(name)
        assert change.pruned.dtype is torch.bool
        assert change.pruned.shape == weight.shape
        assert bool((change.pruned | masks.get(name, torch.ones(())).ne(0)).all())
        if change.weight is not None:
            assert change.weight.dtype is weight.dtype
            assert not change.weight[change.pruned].any()


@each_criterion
@pytest.mark.parametrize("pattern", [NM(2, 4), NM(1, 2)], ids=str)
def test_n_of_m_is_obeyed(word: str, pattern: NM) -> None:
    model, batches = convolutional()
    sizes = {name: model.get_parameter(name).numel() for name in WEIGHTS}
    quota = Quota.fixed(
        {name: size * (pattern.m - pattern.n) // pattern.m for name, size in sizes.items()}
    )
    changes = carry_out(made(word), model, quota, batches, granularity=pattern)
    for change in changes.values():
        groups = change.pruned.movedim(1, -1).reshape(-1, pattern.m)
        assert set(groups.sum(1).tolist()) == {pattern.m - pattern.n}


@each_criterion
def test_of_equal_weights_the_first_go(word: str) -> None:
    model = perceptron(4, 2)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    batches = Batches([(torch.eye(4), torch.tensor([0, 1, 0, 1]))])
    change = carry_out(made(word), model, Quota.fixed({"0.weight": 4}), batches)["0.weight"]
    first = [[True, True, False, False]] * 2 if word == "wanda" else [[True] * 4, [False] * 4]
    assert change.pruned.tolist() == first


@each_criterion
def test_the_network_is_left_as_it_was(word: str) -> None:
    model, batches = convolutional()
    model[1].eval()
    model[3].weight.requires_grad_(False)
    model[7].weight.grad = torch.ones_like(model[7].weight)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    quota = Quota.fixed(dict.fromkeys(WEIGHTS, 20))
    changes = list(made(word).prune(Task(model, WEIGHTS, quota, batches)))
    assert sorted(change.name for change in changes) == sorted(WEIGHTS)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == flags
    assert [weight.requires_grad for weight in model.parameters()].count(False) == 1
    assert [weight.grad is None for weight in model.parameters()].count(False) == 1
    assert bool((model[7].weight.grad == 1).all())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(not module._forward_pre_hooks for module in model.modules())
    assert all(not module._forward_hooks for module in model.modules())


@each_criterion
def test_the_same_question_has_the_same_answer(word: str) -> None:
    model, batches = convolutional()
    task = Task(model, WEIGHTS, Quota.fixed(dict.fromkeys(WEIGHTS, 20)), batches)
    one, other = (list(made(word).prune(task)) for _ in range(2))
    for change, again in zip(one, other, strict=True):
        assert torch.equal(change.pruned, again.pruned)
        assert change.weight is None or torch.equal(change.weight, again.weight)


@each_criterion
@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_how_samples_are_batched_does_not_show(word: str, sizes: list[int]) -> None:
    class Sums(Batches):
        def loss(self, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return model(batch[0]).square().sum()

    inputs = torch.randint(-4, 5, (sum(sizes), 6)).float()
    model = perceptron(6, 4)
    with torch.no_grad():
        model[0].weight.copy_(torch.randint(-4, 5, (4, 6)))
    quota = Quota.fixed({"0.weight": 10})
    split = Sums([(part, part) for part in inputs.split(sizes)])
    whole = Sums([(inputs, inputs)])
    (one,), (other,) = (
        list(made(word).prune(Task(model, ["0.weight"], quota, batches)))
        for batches in (split, whole)
    )
    assert torch.equal(one.pruned, other.pruned)
    assert one.weight is None or torch.equal(one.weight, other.weight)


@each_criterion
def test_a_criterion_says_where_it_comes_from(word: str) -> None:
    assert "20" in (ONESHOT[word].__doc__ or "")
    assert "arXiv:" in (ONESHOT[word].__doc__ or "")
