"""The kernels compute the network, whatever they are compiled for and whatever came before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.native import layers
from pruneflow.deploy.native.abi import Variant
from pruneflow.deploy.native.library import Library
from pruneflow.deploy.native.program import NativeProgram
from tests.deploy.native.kernels import (
    assert_right,
    fill_scratch,
    force,
    large_convolutions,
    linear,
    meshes,
    pools,
    sparse_matrix,
    using,
    wide_layers,
)
from tests.deploy.networks import Network, networks
from tests.deploy.side_by_side import assert_as_alone

BATCHES = (1, 2, 3, 16, 17, 64, 65, 130)
RUBBISH = (0x00, 0xFF, 0x7F, 0x55)
"""Bytes of scratch memory: zeros, NaN, huge numbers, 1.4e13."""

drawn = networks() | wide_layers() | large_convolutions() | pools() | meshes()


@given(network=drawn, batch=st.sampled_from(BATCHES), count=st.sampled_from([1, 2]))
@settings(max_examples=200)
def test_outputs_are_right_in_any_memory(
    kernels: Library, network: Network, batch: int, count: int
) -> None:
    x = network.inputs(batch)
    with using(kernels), using_threads(count):
        run = NativeProgram(network.graph, network.tensors)
        first = assert_right(run, network, x)
        for word in RUBBISH:
            fill_scratch(run, word)
            assert torch.equal(run(x), first)


@given(network=drawn, batches=st.lists(st.sampled_from(BATCHES), min_size=2, max_size=4))
def test_earlier_calls_do_not_matter(
    kernels: Library, network: Network, batches: list[int]
) -> None:
    with using(kernels):
        alone = [NativeProgram(network.graph, network.tensors)(network.inputs(b)) for b in batches]
        run = NativeProgram(network.graph, network.tensors)
        for batch, expected in zip(batches, alone, strict=True):
            x = network.inputs(batch)
            for rubbish in (torch.nan, torch.inf, -3e38):
                run(torch.full_like(x, rubbish))
            assert torch.equal(run(x), expected)


@given(network=drawn, batch=st.sampled_from(BATCHES), at=st.integers(0, 129))
def test_samples_do_not_touch_each_other(
    kernels: Library, network: Network, batch: int, at: int
) -> None:
    x, at = network.inputs(batch), at % batch
    others = torch.arange(batch) != at
    with using(kernels):
        run = NativeProgram(network.graph, network.tensors)
        expected = run(x)[others]
        for rubbish in (torch.nan, torch.inf):
            spoiled = x.clone()
            spoiled[at] = rubbish
            assert torch.equal(run(spoiled)[others], expected)


@given(network=wide_layers(), batch=st.sampled_from([1, 2]))
def test_all_ways_to_multiply_a_vector_agree(
    kernels: Library, network: Network, batch: int
) -> None:
    x = network.inputs(batch)
    with using(kernels), pytest.MonkeyPatch.context() as patch:
        tried = set()
        for cost in (0.0, float("inf")):
            patch.setattr(layers, "STEP_COST", cost)
            run = NativeProgram(network.graph, network.tensors)
            tried.add(run._ops[0].variant)
            assert_right(run, network, x)
        force(run, Variant.ROWS)
        assert_right(run, network, x)
    if kernels.handle.pf_lanes() == 16 and network.tensors["fc.weight"].any():
        assert tried == {Variant.WINDOWS, Variant.PANELS}


def test_the_cheapest_way_is_taken(kernels: Library) -> None:
    sparse = Variant.WINDOWS if kernels.handle.pf_lanes() == 16 else Variant.ROWS
    with using(kernels):
        for density, variant in ((0.05, sparse), (1.0, Variant.PANELS)):
            network = linear(sparse_matrix(64, 256, density, seed=0))
            assert NativeProgram(network.graph, network.tensors)._ops[0].variant == variant


@pytest.mark.parametrize("excess", [0, 1, 9])
def test_inputs_beyond_the_farthest_window_are_found(kernels: Library, excess: int) -> None:
    weight = torch.zeros(17, layers.FARTHEST + excess)
    weight[:, :3], weight[::2, -1], weight[3, -40:-30] = 0.5, 1.0, 0.25
    network = linear(weight, bias=False, op=None)
    with using(kernels):
        run = NativeProgram(network.graph, network.tensors)
        assert_right(run, network, network.inputs(1))


@given(network=drawn)
@settings(max_examples=20)
def test_threads_do_not_touch_each_other(kernels: Library, network: Network) -> None:
    batches = (1, 5, 33, 1)
    with using(kernels):
        run = NativeProgram(network.graph, network.tensors)
    inputs = [network.inputs(batch, seed) for seed, batch in enumerate(batches)]
    assert_as_alone(run, inputs, 30)
