"""Groups of channels: what is found, what is refused, and that nothing else happens."""

from __future__ import annotations

import copy
import sys
from collections import Counter

import pytest
import torch
from torch import nn

from pruneflow.errors import UserError
from pruneflow.structure import Part, channel_groups
from pruneflow.zoo.models import MODELS
from tests.structure.nets import IMAGES, NETS, RIGID, SGD, known, tied

each_net = pytest.mark.parametrize("name", list(NETS))
each_deep = pytest.mark.parametrize("name", ["lenet_300_100", "lenet5", "resnet20", "mobilenet"])


@each_net
def test_groups_are_found_with_all_their_channels(name: str) -> None:
    _, _, groups = known(name)
    assert {group.name: group.channels for group in groups} == NETS[name][1]


@pytest.mark.parametrize("name", list(RIGID))
def test_what_changes_the_outputs_is_no_group(name: str) -> None:
    assert channel_groups(RIGID[name](), torch.zeros(IMAGES)) == ()


def test_a_tensor_of_two_layers_is_in_no_group() -> None:
    assert channel_groups(tied(), torch.zeros(IMAGES)) == ()


def test_of_a_transformer_the_perceptrons_can_shrink() -> None:
    _, _, groups = known("vit")
    assert [group.name for group in groups] == ["blocks.0.fc1.weight", "blocks.1.fc1.weight"]


@each_deep
def test_every_layer_gives_and_takes_but_for_inputs_and_outputs(name: str) -> None:
    model, _, groups = known(name)
    weights = {key: w for key, w in model.named_parameters() if w.dim() > 1}
    of_one = {key for key in weights if "depthwise" in key}
    first, *_, last = weights
    rows = {part.tensor: part for group in groups for part in group.producers}
    columns = {part.tensor: part for group in groups for part in group.consumers}
    assert set(weights) & set(rows) == set(weights) - {last}
    assert set(columns) == set(weights) - {first} - of_one
    assert {key: part.size for key, part in columns.items()} == {
        key: weights[key].shape[1] for key in columns
    }


@pytest.mark.parametrize("name", [*NETS, "lenet5", "resnet20", "mobilenet", "vit"])
def test_every_index_is_in_one_channel_and_in_its_tensor(name: str) -> None:
    model, _, groups = known(name)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    found: Counter[tuple[str, int, int]] = Counter()
    for group in groups:
        assert {part.dim for part in group.producers} == {0}
        assert {part.dim for part in group.consumers} == {1}
        for part in group.parts:
            assert len(part.indices) == group.channels
            assert part.size == tensors[part.tensor].shape[part.dim]
            for indices in part.indices:
                assert list(indices) == sorted(indices)
                found.update((part.tensor, part.dim, index) for index in indices)
    assert set(found.values()) == {1}
    sizes = {(p.tensor, p.dim): p.size for group in groups for p in group.parts}
    assert Counter((tensor, dim) for tensor, dim, _ in found) == sizes


def test_a_flattened_channel_is_read_by_several_columns() -> None:
    _, _, (group, _) = known("flatten")
    columns = tuple(tuple(range(16 * channel, 16 * channel + 16)) for channel in range(4))
    assert group.consumers == (Part("fc1.weight", 1, 64, columns),)


def test_of_a_grouped_convolution_go_the_same_places_of_each_group() -> None:
    _, _, (a, b, _) = known("grouped")
    assert a.producers[0] == Part("a.weight", 0, 8, ((0, 4), (1, 5), (2, 6), (3, 7)))
    assert a.consumers == (Part("b.weight", 1, 4, ((0,), (1,), (2,), (3,))),)
    # Read in four groups of three; written in two of six, of which no place is left alone.
    assert b.producers[0].indices == ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11))


def test_groups_are_values_in_the_order_of_layers() -> None:
    model, images, groups = known("resnet20")
    again = channel_groups(copy.deepcopy(model), torch.zeros_like(images[:1]))
    assert again == groups
    assert hash(again) == hash(groups)
    order = [name for name, _ in model.named_parameters()]
    assert [group.name for group in groups] == sorted([g.name for g in groups], key=order.index)


def test_the_model_and_the_random_numbers_stay_as_they_are() -> None:
    model = NETS["concat"][0]().train().requires_grad_(False)
    kept, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    modules = {name: module.training for name, module in model.named_modules()}
    groups = channel_groups(model, [torch.zeros(IMAGES)])
    assert {group.name: group.channels for group in groups} == NETS["concat"][1]
    assert torch.equal(torch.get_rng_state(), random)
    assert {name: module.training for name, module in model.named_modules()} == modules
    assert all(torch.equal(kept[key], tensor) for key, tensor in model.state_dict().items())
    assert not any(tensor.requires_grad for tensor in model.parameters())


def test_what_is_zero_at_first_hides_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.Sigmoid(), nn.Linear(6, 4))
    nn.init.zeros_(model[2].weight)
    assert channel_groups(model, torch.zeros(2, 3)) == ()


def test_a_transformers_tokens_may_be_numbers_of_words() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    (group,) = channel_groups(model, torch.tensor([[1, 8, 0]]))
    assert group.name == "1.weight"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(UserError, match=r"pip install 'pruneflow\[structured\]'"):
        channel_groups(MODELS["lenet_300_100"](SGD, size=8), torch.zeros(1, 1, 8, 8))


def test_an_example_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match="does not run on the example: RuntimeError"):
        channel_groups(MODELS["lenet_300_100"](SGD, size=8), torch.zeros(1, 1, 9, 9))
