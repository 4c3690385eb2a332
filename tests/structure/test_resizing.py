"""Layers of another size: what changes, what stays, what is refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from pruneflow.structure import resize

Shapes = Mapping[str, Sequence[int]]


def layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 12, 3, groups=2),
        nn.Conv1d(12, 4, 5, bias=False),
        nn.Linear(4, 5),
        nn.LayerNorm(5),
    )


@pytest.mark.parametrize(
    ("shapes", "settings"),
    [
        ({"0.weight": (5, 3, 3, 3), "0.bias": (5,)}, {0: {"out_channels": 5, "in_channels": 3}}),
        (
            {f"1.{key}": (6,) for key in ("weight", "bias", "running_mean", "running_var")},
            {1: {"num_features": 6}},
        ),
        (
            {"2.weight": (3, 1, 3, 3), "2.bias": (3,)},
            {2: {"out_channels": 3, "in_channels": 3, "groups": 3}},
        ),
        (
            {"3.weight": (4, 1, 3, 3), "3.bias": (4,)},
            {3: {"out_channels": 4, "in_channels": 2, "groups": 2}},
        ),
        ({"4.weight": (4, 9, 5)}, {4: {"out_channels": 4, "in_channels": 9, "groups": 1}}),
        (
            {"5.weight": (9, 2), "5.bias": (9,)},
            {5: {"out_features": 9, "in_features": 2}},
        ),
    ],
)
def test_a_layer_gets_the_size_of_its_tensors(
    shapes: Shapes, settings: Mapping[int, Mapping[str, int]]
) -> None:
    model = layers()
    before = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    resize(model, shapes)
    after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert list(after) == list(before)
    for name, tensor in after.items():
        assert tensor.shape == torch.Size(shapes.get(name, before[name].shape))
        assert (tensor is before[name]) == (name not in shapes)
        assert isinstance(tensor, nn.Parameter) == isinstance(before[name], nn.Parameter)
    for at, numbers in settings.items():
        assert {key: getattr(model[at], key) for key in numbers} == numbers


def test_a_new_tensor_is_like_the_old_one() -> None:
    model = nn.Sequential(nn.Linear(4, 3, dtype=torch.bfloat16), nn.BatchNorm1d(3))
    model[0].weight.requires_grad_(False)
    resize(model, {"0.weight": (2, 4), "0.bias": torch.zeros(2)})
    assert (model[0].weight.dtype, model[0].bias.dtype) == (torch.bfloat16, torch.bfloat16)
    assert not model[0].weight.requires_grad
    assert model[0].bias.requires_grad


def test_a_batch_norm_runs_at_its_new_size() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    small = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    resize(model, small.state_dict())
    model.load_state_dict(small.state_dict())
    inputs = torch.randn(5, 4)
    assert torch.equal(model(inputs), small(inputs))


def test_shared_weights_stay_shared() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    resize(model, {"0.weight": (3, 4), "0.bias": (3,), "1.weight": (3, 4), "1.bias": (3,)})
    assert model[0].weight is model[1].weight
    assert model[1].out_features == 3


def test_names_that_are_not_there_are_passed_over() -> None:
    model = layers()
    before = copy.deepcopy(model.state_dict())
    resize(model, {"9.weight": (1, 1), "val_accuracy.tp": (3,)})
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"5.bias": (4,)}, "5.bias cannot have the shape (4,): beside"),
        ({"5.weight": (4, 4)}, "5.bias cannot have the shape (5,): beside"),
        ({"5.weight": (4,)}, "5.weight cannot have the shape (4,)"),
        ({"1.weight": (7,)}, "1.bias cannot have the shape (8,)"),
        ({"1.weight": ()}, "1.weight cannot have the shape ()"),
        ({"0.weight": (8, 3, 5, 5)}, "0.weight cannot have the shape (8, 3, 5, 5)"),
        ({"2.weight": (4, 2, 3, 3), "2.bias": (4,)}, "2.weight cannot have the shape (4, 2, 3, 3)"),
        ({"3.weight": (5, 4, 3, 3), "3.bias": (5,)}, "3.weight cannot have the shape (5, 4, 3, 3)"),
        ({"6.weight": (4,)}, "6.weight has the shape (5,), not (4,), and a LayerNorm cannot"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_has_changed(shapes: Shapes, message: str) -> None:
    model = layers()
    before = dict(model.named_parameters())
    with pytest.raises(ValueError, match=re.escape(message)):
        resize(model, {"4.weight": (4, 9, 5), **shapes})
    assert all(tensor is before[name] for name, tensor in model.named_parameters())
    assert model[4].in_channels == 12


def test_a_weight_made_from_others_cannot_change() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3)))
    name = "0.parametrizations.weight.original1"
    with pytest.raises(ValueError, match=f"{name} has the shape"):
        resize(model, {name: (2, 4)})
