"""The law of channels: masked or removed, the network says the same."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruneflow.structure import (
    ChannelGroup,
    channel_groups,
    groups_after,
    kept_slices,
    producer_rows,
    remove,
    resize,
)
from pruneflow.structure.removing import tensors_of
from tests.structure.nets import NETS, ZOO, known

Chosen = dict[str, list[int]]

CANCELLED = 100  # how much larger than an output the numbers may be that it is the sum of


@st.composite
def choices(draw: st.DrawFn, groups: tuple[ChannelGroup, ...]) -> Chosen:
    """Some channels of some groups; of each at least one stays."""
    gone = {}
    for group in groups:
        stays = draw(st.integers(0, group.channels - 1))
        some = draw(st.sets(st.integers(0, group.channels - 1), max_size=group.channels - 1))
        gone[group.name] = sorted(some - {stays})
    return gone


def masked(model: nn.Module, groups: tuple[ChannelGroup, ...], gone: Chosen) -> nn.Module:
    model = copy.deepcopy(model)
    tensors = tensors_of(model)
    for name, rows in producer_rows(groups, gone).items():
        tensors[name].data[list(rows)] = 0
    return model


def removed(model: nn.Module, groups: tuple[ChannelGroup, ...], gone: Chosen) -> nn.Module:
    model = copy.deepcopy(model)
    remove(model, kept_slices(groups, gone))
    return model


def flat(outputs: object) -> torch.Tensor:
    if isinstance(outputs, torch.Tensor):
        return outputs.detach().flatten()
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return torch.cat([flat(part) for part in parts])


def bound(model: nn.Module) -> float:
    """Of a relative error in float64, when every layer sums its products in another order.

    A sum of n products is off by n u of the sum of their magnitudes, in either order.
    """
    weights = [w for w in model.parameters() if w.dim() > 1]
    longest = max(w[0].numel() for w in weights)
    return CANCELLED * 2 * len(weights) * longest * torch.finfo(torch.float64).eps / 2


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", [*NETS, *ZOO])
@settings(max_examples=4)
@given(data=st.data())
def test_removed_is_masked(name: str, training: bool, data: st.DataObject) -> None:
    model, images, groups = known(name)
    model, images = copy.deepcopy(model).double().train(training), images.double()
    gone = data.draw(choices(groups))
    slow, fast = masked(model, groups, gone), removed(model, groups, gone)
    before, after = flat(slow(images)), flat(fast(images))
    assert (before - after).abs().max() <= bound(model) * before.abs().max()
    statistics = {name: b for name, b in slow.named_buffers() if "running" in name}
    remove(slow, kept_slices(groups, gone))
    for key, buffer in slow.named_buffers():
        if key in statistics:
            torch.testing.assert_close(buffer, fast.get_buffer(key), rtol=1e-9, atol=1e-9)


WHOLE = ["residual", "depthwise", "grouped", "concat", "flatten", "branches", "twice", "lenet5"]


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=8)
@given(data=st.data())
def test_whole_numbers_are_equal_to_the_last_bit(name: str, data: st.DataObject) -> None:
    """Sums of whole numbers have no rounding: only exact zeros are lost."""
    model, images, groups = known(name)
    model, images = copy.deepcopy(model).double().eval(), images.mul(2).round().double()
    for tensor in tensors_of(model).values():
        if tensor.is_floating_point():
            tensor.data.mul_(3).round_()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0
            nn.init.ones_(module.running_var)
    gone = data.draw(choices(groups))
    slow, fast = masked(model, groups, gone), removed(model, groups, gone)
    assert torch.equal(flat(slow(images)), flat(fast(images)))


@pytest.mark.parametrize("name", [*NETS, "lenet5", "resnet20", "mobilenet", "vit"])
@settings(max_examples=3)
@given(data=st.data())
def test_the_structure_follows_from_the_state(name: str, data: st.DataObject) -> None:
    model, images, groups = known(name)
    gone = data.draw(choices(groups))
    fast, loaded = removed(model, groups, gone).eval(), copy.deepcopy(model).eval()
    state = fast.state_dict()
    assert list(state) == list(model.state_dict())
    assert [*dict(fast.named_parameters())] == [*dict(model.named_parameters())]
    resize(loaded, state)
    loaded.load_state_dict(state)
    assert str(loaded) == str(fast)
    assert torch.equal(flat(loaded(images)), flat(fast(images)))
    lost = {key for key, tensor in state.items() if tensor.shape != model.state_dict()[key].shape}
    assert lost == set(kept_slices(groups, gone))


# Torch-Pruning takes a convolution with as many groups as outputs for a depthwise one.
FOUND_AGAIN = [*sorted({*NETS} - {"grouped"}), "lenet5", "vit"]


@pytest.mark.parametrize("name", FOUND_AGAIN)
@settings(max_examples=2)
@given(data=st.data())
def test_groups_after_are_those_of_the_smaller_network(name: str, data: st.DataObject) -> None:
    model, images, groups = known(name)
    gone = data.draw(choices(groups))
    smaller = removed(model, groups, gone)
    assert groups_after(groups, gone) == channel_groups(smaller, images)


@pytest.mark.parametrize("name", [*NETS, "mobilenet"])
@settings(max_examples=4)
@given(data=st.data())
def test_removing_twice_is_removing_once(name: str, data: st.DataObject) -> None:
    model, _, groups = known(name)
    gone = data.draw(choices(groups))
    first = {key: channels[::2] for key, channels in gone.items()}
    left = {group.name: [*range(group.channels)] for group in groups}
    for key, channels in first.items():
        left[key] = [channel for channel in left[key] if channel not in channels]
    then = {
        key: [left[key].index(channel) for channel in channels[1::2]]
        for key, channels in gone.items()
        if channels[1::2]
    }
    by_steps = removed(model, groups, first)
    remove(by_steps, kept_slices(groups_after(groups, first), then))
    once = removed(model, groups, gone).state_dict()
    assert str(by_steps) == str(removed(model, groups, gone))
    assert all(torch.equal(once[key], tensor) for key, tensor in by_steps.state_dict().items())


def test_a_smaller_network_learns() -> None:
    model, images, groups = known("concat")
    fast = removed(model, groups, {"a.weight": [1], "c.weight": [0, 5]}).train()
    fast(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in fast.parameters())


def test_nothing_to_remove_changes_nothing() -> None:
    model, _, groups = known("residual")
    same = copy.deepcopy(model)
    before = tensors_of(same)
    remove(same, kept_slices(groups, {"a.weight": []}))
    assert all(tensor is before[name] for name, tensor in tensors_of(same).items())
