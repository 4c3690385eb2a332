"""Which layout and which values a weight is written in, by the goal."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy import layouts
from pruneflow.deploy.bundles.packing import Packed, size
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choices import GOALS
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.network import of_graph
from pruneflow.deploy.settings import Settings
from tests.deploy.networks import Network, networks

ALLOWED = {
    "latency": {"dense", "csr16"},
    "balanced": {*FORMATS},
    "size": {*FORMATS},
}
"""latency: quick to read at load; balanced and size: whatever is smallest."""


@st.composite
def sparse_weights(draw: st.DrawFn) -> torch.Tensor:
    """A weight (rows, columns) of any density."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 90)))
    keep = torch.rand(shape, generator=generator) < draw(st.floats(0, 1))
    return torch.where(keep, torch.randn(shape, generator=generator), 0.0)


@given(sparse_weights(), st.sampled_from(GOALS), st.sampled_from(tuple(CODECS)))
def test_the_fewest_bytes_among_the_layouts_of_the_goal(
    weight: torch.Tensor, goal: str, values: str
) -> None:
    mask, bits = weight.ne(0), CODECS[values].bits
    able = [name for name in ALLOWED[goal] if FORMATS[name].refuses(mask) is None]
    chosen = layouts.layout(weight, goal, values)
    assert chosen in able
    assert size(mask, chosen, bits) == min(size(mask, name, bits) for name in able)


@given(sparse_weights(), st.sampled_from(tuple(CODECS)))
def test_a_goal_that_cares_less_for_time_takes_no_more_bytes(
    weight: torch.Tensor, values: str
) -> None:
    mask, bits = weight.ne(0), CODECS[values].bits
    taken = [size(mask, layouts.layout(weight, goal, values), bits) for goal in
             ("latency", "balanced", "size")]  # fmt: skip
    assert taken == sorted(taken, reverse=True)


@pytest.mark.parametrize(
    ("density", "goal", "chosen"),
    [
        (1.0, "latency", "dense"), (0.05, "latency", "csr16"),
        (1.0, "balanced", "dense"), (0.5, "balanced", "bitmask"), (0.05, "balanced", "rice"),
        (0.05, "size", "rice"), (1.0, "size", "dense"),
    ],
)  # fmt: skip
def test_the_layouts_people_read_about(density: float, goal: str, chosen: str) -> None:
    weight = torch.randn(300, 784) * (torch.rand(300, 784) < density)
    assert layouts.layout(weight, goal, "fp32") == chosen


def test_what_is_tried_for_every_goal() -> None:
    def tried(**options: str) -> tuple[str, ...]:
        return layouts.values_to_try(Settings(**options))  # type: ignore[arg-type]

    assert tried(goal="latency") == tried(goal="balanced") == ("fp32",)
    assert tried(goal="size") == ("int8", "fp16", "fp32")
    widths = [CODECS[name].bits for name in tried(goal="size")]
    assert widths == sorted(widths)
    for values in CODECS:
        assert {tried(goal=goal, values=values) for goal in GOALS} == {(values,)}


@given(networks(), st.sampled_from(GOALS))
def test_weights_are_packed_and_the_rest_stays(drawn: Network, goal: str) -> None:
    network = of_graph(drawn.graph, drawn.tensors)
    written = layouts.packed(network, goal, "fp32")
    assert list(written) == list(network.tensors)
    for name, tensor in written.items():
        assert isinstance(tensor, Packed) == (name in network.weights)
        if isinstance(tensor, Packed):
            assert tensor.entry.format in ALLOWED[goal]
            assert tensor.entry.values == "fp32"
        else:
            assert tensor is network.tensors[name]
