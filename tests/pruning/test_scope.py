"""Laws of scope: patterns, types and roles mean the layers a person would point at."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.pruning.scope import Layer, Targets, find_layers, find_vectors, per_pattern
from tests.strategies import NAMES, layer_lists


class Odd(nn.Linear):
    """A subclass counts as its base."""


class Zoo(nn.Module):
    """An embedding, convolutions, a tied head, and things that are no layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.body = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), Odd(4, 5))
        self.scale = nn.Parameter(torch.ones(3, 3))
        self.head = nn.Linear(5, 2)
        self.tied = nn.Linear(5, 2)
        self.tied.weight = self.head.weight


LAYERS = find_layers(Zoo())


def names(targets: Targets, layers: list[Layer] = LAYERS) -> list[str]:
    return [layer.name for layer in targets.choose(layers)]


def test_every_matrix_is_found_once_in_the_networks_order() -> None:
    assert [(layer.name, layer.types[0], layer.shape) for layer in LAYERS] == [
        ("scale", "Zoo", (3, 3)),
        ("embed.weight", "Embedding", (7, 4)),
        ("body.0.weight", "Conv1d", (4, 4, 3)),
        ("body.2.weight", "Odd", (5, 4)),
        ("head.weight", "Linear", (2, 5)),
    ]


def test_everything_else_is_a_vector_with_the_role_of_its_layer() -> None:
    vectors = find_vectors(Zoo())
    assert [(vector.name, vector.types[0], vector.role) for vector in vectors] == [
        ("body.0.bias", "Conv1d", "input"),
        ("body.1.weight", "BatchNorm1d", ""),
        ("body.1.bias", "BatchNorm1d", ""),
        ("body.2.bias", "Odd", ""),
        ("head.bias", "Linear", "output"),
        ("tied.bias", "Linear", ""),
    ]
    assert {vector.name for vector in vectors} | {layer.name for layer in LAYERS} == {
        name for name, _ in Zoo().named_parameters()
    }


def test_roles_go_to_the_first_and_last_prunable_layer() -> None:
    assert [(layer.name, layer.role) for layer in LAYERS if layer.role] == [
        ("body.0.weight", "input"),
        ("head.weight", "output"),
    ]


def test_sizes_and_rows_come_from_the_shape() -> None:
    conv = LAYERS[2]
    assert (conv.size, conv.rows) == (48, 4)


def test_the_default_is_every_linear_and_convolution() -> None:
    assert names(Targets()) == ["body.0.weight", "body.2.weight", "head.weight"]


def test_types_mean_subclasses_too_and_need_not_all_occur() -> None:
    assert names(Targets(types=("Linear", "Conv3d"))) == ["body.2.weight", "head.weight"]
    assert names(Targets(types=("Embedding",))) == ["embed.weight"]


@pytest.mark.parametrize(("slip", "meant"), [("Conv2D", "Conv2d"), ("linear", "Linear")])
def test_a_type_in_other_letters_is_a_slip(slip: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"'{slip}'. Did you mean '{meant}'?"):
        names(Targets(types=("Embedding", slip)))


def test_a_name_reaches_what_the_default_leaves_out() -> None:
    assert names(Targets(names=("embed", "scale"))) == ["scale", "embed.weight"]


def test_types_and_names_together_narrow() -> None:
    assert names(Targets(types=("Conv1d",), names=("body.*",))) == ["body.0.weight"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("head", ["head.weight"]),
        ("head.weight", ["head.weight"]),
        ("2", ["body.2.weight"]),
        ("body.*", ["body.0.weight", "body.2.weight"]),
        ("*.weight", ["embed.weight", "body.0.weight", "body.2.weight", "head.weight"]),
        ("[gh]*d.weight", ["head.weight"]),
        ("bod?.2", ["body.2.weight"]),
        ("input", ["body.0.weight"]),
        ("output", ["head.weight"]),
    ],
)
def test_a_pattern_means_a_name_or_its_dotted_tail_or_a_role(
    pattern: str, found: list[str]
) -> None:
    assert [layer.name for layer in LAYERS if layer.matches(pattern)] == found


def test_a_tail_begins_at_a_dot() -> None:
    assert not LAYERS[4].matches("ead")
    assert not Layer("prefc1.weight", ("Linear",), (1, 1)).matches("fc1")
    assert Layer("model.fc1.weight", ("Linear",), (1, 1)).matches("fc1")


def test_ignoring_wins() -> None:
    targets = Targets(names=("body.*",), ignore=("input",))
    assert names(targets) == ["body.2.weight"]
    assert names(Targets().without(("output",))) == ["body.0.weight", "body.2.weight"]


@pytest.mark.parametrize("targets", [Targets(names=("hed",)), Targets(ignore=("hed",))])
def test_a_name_that_matches_nothing_is_refused_with_the_nearest(targets: Targets) -> None:
    with pytest.raises(ValueError, match=r"'hed' matches no layer\. Did you mean 'head'\?"):
        targets.choose(LAYERS)


def test_an_empty_choice_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"head\.weight \(Linear\)"):
        Targets(types=("Conv3d",)).choose(LAYERS)


def test_values_by_pattern_take_the_first_that_fits_then_the_default() -> None:
    values = per_pattern({"default": 0.1, "output": 0.2, "*.weight": 0.3}, LAYERS)
    assert values == {
        "scale": 0.1,
        "embed.weight": 0.3,
        "body.0.weight": 0.3,
        "body.2.weight": 0.3,
        "head.weight": 0.2,
    }


def test_values_by_pattern_refuse_a_layer_without_one_and_a_pattern_without_a_layer() -> None:
    with pytest.raises(ValueError, match=r"no value for layer 'scale'.*'default'"):
        per_pattern({"*.weight": 0.3}, LAYERS)
    with pytest.raises(ValueError, match="'hed' matches no layer"):
        per_pattern({"hed": 0.3, "default": 0.1}, LAYERS)


@given(layer_lists(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_choices_and_their_complement_divide_the_network(
    layers: list[Layer], patterns: list[str]
) -> None:
    def choose(targets: Targets) -> set[str]:
        try:
            return set(names(targets, layers))
        except ValueError:
            return set()

    everything = {layer.name for layer in layers}
    if all(any(layer.matches(p) for layer in layers) for p in patterns):
        chosen = choose(Targets(names=tuple(patterns)))
        assert chosen
        assert choose(Targets(ignore=tuple(patterns))) == everything - chosen
    else:
        with pytest.raises(ValueError, match="matches no layer"):
            Targets(names=tuple(patterns)).choose(layers)
