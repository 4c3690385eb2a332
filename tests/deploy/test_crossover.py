"""From which sparsity on sparse would win: the least that was tried, of a network left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.measure.crossover import PROBES, wins_from
from pruneflow.deploy.measure.timing import Times
from pruneflow.deploy.network import Network, of_graph
from tests.deploy.fakes import Fake
from tests.deploy.networks import Network as Drawn
from tests.deploy.networks import networks

Register = Callable[..., Fake]


def density(run: Run) -> float:
    """Of the weights an engine was built with."""
    tensors: dict[str, torch.Tensor] = run.tensors  # type: ignore[attr-defined]
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight")]
    return sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


def asked(network: Network, dense_time: float) -> tuple[float | None, list[float]]:
    """The answer, and the densities that were tried; sparse takes 100 us at density 1."""
    tried: list[float] = []

    def interleaved(runs: Mapping[str, Run], x: torch.Tensor, seconds: float) -> dict[str, Times]:
        tried.append(density(runs["sparse"]))
        sparse = max(100 * tried[-1], 1e-9)
        return {"sparse": Times([sparse] * 3, 1.0), "dense": Times([dense_time] * 3, 1.0)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneflow.deploy.measure.crossover.interleaved", interleaved)
        x = torch.rand(2, *network.input_shape)
        return wins_from(network, "fake", lambda x: x, x, 1), tried


def wide(sparsity: float = 0.0) -> Network:
    """One layer of 1000 weights, its smallest gone."""
    drawn = torch.linspace(0.001, 1, 1000).reshape(10, 100).neg()
    drawn.view(-1)[: round(1000 * sparsity)] = 0
    graph = Graph((100,), (Node("fc", "linear", (INPUT,), "fc.weight"),), "fc")
    return of_graph(graph, {"fc.weight": drawn})


@given(dense=st.floats(1, 200), sparsity=st.sampled_from([0.0, 0.3, 0.5, 0.82, 0.97]))
def test_it_is_the_least_sparsity_tried_that_wins_by_the_margin(
    register: Register, dense: float, sparsity: float
) -> None:
    register("fake")
    found, tried = asked(wide(sparsity), dense)
    winning = [
        probe for probe in PROBES if probe > sparsity and dense / (100 * (1 - probe)) >= 1.05
    ]
    assert found == pytest.approx(min(winning)) if winning else found is None
    assert tried == sorted(tried, reverse=True)
    assert all(share < 1 - sparsity + 1e-9 for share in tried)  # never denser than it is


def test_a_network_sparser_than_everything_tried_has_no_answer(register: Register) -> None:
    register("fake")
    assert asked(wide(0.99), 1e9) == (None, [])


@given(networks())
def test_the_network_is_left_alone_and_keeps_its_zeros(register: Register, drawn: Drawn) -> None:
    fake = register("fake")
    network = of_graph(drawn.graph, drawn.tensors)
    before = {name: tensor.clone() for name, tensor in network.tensors.items()}
    seen: list[Mapping[str, torch.Tensor]] = []
    build = fake.build

    def noted(graph, tensors, threads):  # type: ignore[no-untyped-def]
        seen.append(tensors)
        return build(graph, tensors, threads)

    fake.build = noted  # type: ignore[method-assign]
    if network.weights:
        asked(network, 0.0)
    for tensors in seen:
        for name, tensor in tensors.items():
            kept = tensor.ne(0)
            assert torch.equal(tensor[kept], before[name][kept])  # nothing but zeros was added
            assert name in network.weights or torch.equal(tensor, before[name])
            if name in network.weights:
                gone = before[name][~kept].abs().max() if (~kept).any() else torch.tensor(0.0)
                assert not kept.any() or gone <= tensor[kept].abs().min()  # the smallest
    assert all(torch.equal(network.tensors[name], value) for name, value in before.items())
