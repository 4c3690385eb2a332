"""Whole networks in one launch: right on drawn networks, in Triton's interpreter or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.kernels.base import DTYPES, Config
from pruneflow.deploy.kernels.fused import FusedNetwork, why_not
from pruneflow.deploy.kernels.fused.network import MOST_NODES, fused_network
from pruneflow.deploy.measure.rounding import bounded
from pruneflow.deploy.network import of_module
from pruneflow.errors import DeployError
from tests.deploy.networks import KNOWN, Network, networks, prune_

pytest.importorskip("triton")

from tests.deploy.kernels import watched

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ALONE = [{"PROGRAMS": 1, "SPLIT": 0, "num_warps": warps} for warps in (1, 4, 16)]
SPLIT = [{"PROGRAMS": n, "SPLIT": 1, "num_warps": warps} for n, warps in ((1, 4), (2, 1), (5, 4))]

LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda x: x,
    "every other sample": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], 1)[:, 0],
    "every other number": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], -1)[..., 0],
    "samples last": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "one sample many times": lambda x: x[:1].expand_as(x),
}
"""How the same inputs may lie in memory."""


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """New memory holds NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def cast(network: Network, dtype: torch.dtype) -> Network:
    """The same network with weights of a dtype."""
    tensors = {name: tensor.to(dtype) for name, tensor in network.tensors.items()}
    return Network(network.graph, tensors)


def fused(network: Network) -> FusedNetwork:
    tensors = {name: tensor.to(DEVICE) for name, tensor in network.tensors.items()}
    return FusedNetwork(network.graph, tensors)


def launched(module: FusedNetwork, x: torch.Tensor, config: Config) -> torch.Tensor:
    """Outputs by Triton."""
    module.config = config
    y = torch.full((len(x), *module.plan.output), torch.nan, dtype=x.dtype, device=DEVICE)
    on_device = x.to(DEVICE)
    if on_device.stride() != x.stride():
        on_device = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=DEVICE)
        on_device.copy_(x)
    for launch in module.launches(on_device, y):
        launch.run()
    return y.cpu()


def assert_right(network: Network, x: torch.Tensor, y: torch.Tensor, cuts: bool) -> None:
    """Between layers all is float32; the output is rounded once (cut off by the interpreter)."""
    tensors = {name: tensor.float() for name, tensor in network.tensors.items()}
    right = bounded(network.graph, tensors, x.float())
    finfo = torch.finfo(x.dtype)
    unit = finfo.eps / (1 if cuts and x.dtype is torch.bfloat16 else 2)
    bound = right.bound + unit * (right.value.abs() + right.bound) + finfo.tiny
    overflows = right.value.abs() + bound > finfo.max
    assert y.dtype == x.dtype
    assert y.shape == right.value.shape
    error = (y.double() - right.value).abs()
    assert ((error <= bound) | overflows).all(), (
        f"off by {float((error / bound).nan_to_num(9e9).max()):.3g}"
    )


def inputs(network: Network, data: st.DataObject) -> torch.Tensor:
    x = network.inputs(data.draw(st.integers(1, 3)), data.draw(st.integers(0, 9)))
    return LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](
        x.to(next(iter(network.tensors.values()), x).dtype)
    )


# -- results -------------------------------------------------------------------------------


@given(networks(softmax=False), st.sampled_from(DTYPES), st.sampled_from(ALONE + SPLIT), st.data())
@settings(max_examples=80)
def test_outputs_are_right_and_always_the_same(
    network: Network, dtype: torch.dtype, config: Config, data: st.DataObject
) -> None:
    network = cast(network, dtype)
    module, x = fused(network), inputs(network, data)
    y = launched(module, x, config)
    assert_right(network, x, y, cuts=DEVICE == "cpu")
    assert torch.equal(y, launched(module, x, config))


@given(networks(softmax=False), st.sampled_from(DTYPES), st.data())
@settings(max_examples=80)
def test_the_reference_is_right(network: Network, dtype: torch.dtype, data: st.DataObject) -> None:
    network = cast(network, dtype)
    x = inputs(network, data)
    assert_right(network, x, FusedNetwork(network.graph, network.tensors)(x), cuts=False)


@pytest.mark.parametrize("config", [ALONE[2], {"PROGRAMS": 8, "SPLIT": 1, "num_warps": 4}])
@pytest.mark.parametrize("name", list(KNOWN))
def test_known_networks_are_right(name: str, config: Config) -> None:
    make, shape = KNOWN[name]
    x = torch.randn(2, *shape)
    traced = of_module(prune_(make(), 0.95), x)
    assert traced.graph is not None
    network = cast(Network(traced.graph, dict(traced.tensors)), torch.float16)
    assert why_not(network.graph, network.tensors) is None
    x = x[1:].half()
    assert_right(network, x, launched(fused(network), x, config), cuts=False)


@given(networks(softmax=False), st.sampled_from([ALONE[1], SPLIT[2]]))
@settings(max_examples=15)
def test_a_sample_that_is_not_finite_spoils_no_other(network: Network, config: Config) -> None:
    module, x = fused(network), network.inputs(3)
    clean = launched(module, x, config)
    x[1] = torch.nan
    spoilt = launched(module, x, config)
    assert torch.equal(spoilt[::2], clean[::2])


def test_maps_that_a_layer_reads_and_a_convolution_pads() -> None:
    generator = torch.Generator().manual_seed(0)
    padded = {"stride": [1, 1], "padding": [1, 2], "dilation": [1, 1], "groups": 1}
    nodes = (
        Node("first", "conv2d", (INPUT,), "first", None, padded),
        Node("second", "conv2d", ("first",), "second", None, padded),
        Node("mean", "global_avg_pool", ("second",)),
        Node("short", "flatten", ("first",)),
        Node("fc", "linear", ("short",), "fc"),
        Node("long", "flatten", ("mean",)),
        Node("sum", "add", ("fc", "long")),
    )
    shapes = {"first": (3, 2, 3, 3), "second": (5, 3, 3, 3), "fc": (5, 3 * 4 * 6)}
    tensors = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    network = Network(Graph((2, 4, 4), nodes, "sum"), tensors)
    x = network.inputs(2)
    assert_right(network, x, fused(network)(x.to(DEVICE)).cpu(), cuts=False)
    assert_right(network, x, launched(fused(network), x, ALONE[1]), cuts=False)


@pytest.mark.skipif(DEVICE == "cuda", reason="compute-sanitizer watches on a GPU")
@given(networks(softmax=False), st.sampled_from(ALONE + SPLIT))
@settings(max_examples=40)
def test_programs_touch_what_is_theirs(network: Network, config: Config) -> None:
    module, x = fused(network), network.inputs(2)
    module.config = config
    y = torch.full((len(x), *module.plan.output), torch.nan)
    for launch in module.launches(x, y):
        watched.run(launch)
    assert_right(network, x, y, cuts=False)


@pytest.mark.parametrize("config", [ALONE[0], SPLIT[2]])
def test_grids_fit_however_many_samples(config: Config) -> None:
    graph = Graph((4,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    module = fused(Network(graph, {"w": torch.ones(3, 4)}))
    module.config = config
    x = torch.zeros(1, 4, device=DEVICE).expand(1 << 20, 4)
    for down, *others in (launch.grid for launch in module.launches(x, x.new_empty(1 << 20, 3))):
        assert down < 1 << 31
        assert all(other < 1 << 16 for other in others)


def test_weights_and_maps_that_take_wide_places() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.zeros(3, 70_000)
    weight[:, -40:] = torch.randn(3, 40, generator=generator)
    graph = Graph((70_000,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    network = Network(graph, {"w": weight})
    x = network.inputs(1)
    assert_right(network, x, launched(fused(network), x, ALONE[1]), cuts=False)


def test_no_samples_have_no_outputs() -> None:
    graph = Graph((4,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    module = fused(Network(graph, {"w": torch.ones(3, 4)}))
    x = torch.zeros(0, 4, device=DEVICE)
    assert module(x).shape == (0, 3)
    assert module.launches(x, module(x)) == []


# -- what is refused -----------------------------------------------------------------------


def test_inputs_of_another_shape_are_refused() -> None:
    graph = Graph((4,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    with pytest.raises(DeployError, match=r"takes inputs of \(n, 4\), not \(2, 5\)"):
        FusedNetwork(graph, {"w": torch.ones(3, 4)})(torch.zeros(2, 5))


def _layers(count: int) -> Graph:
    names = [INPUT, *(f"fc{i}" for i in range(count))]
    nodes = tuple(Node(names[i + 1], "linear", (names[i],), "w", "b") for i in range(count))
    return Graph((4,), nodes, names[-1])


def test_why_networks_are_not_fused() -> None:
    tensors = {"w": torch.eye(4), "b": torch.zeros(4)}
    assert why_not(_layers(MOST_NODES), tensors) is None
    assert why_not(_layers(MOST_NODES + 1), tensors) == "it has more than 64 nodes"
    assert why_not(_layers(1), {**tensors, "b": torch.zeros(4).half()}) == (
        "its weights and biases differ in dtype"
    )
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    assert why_not(_layers(1), wide) == "its weights are not float16, bfloat16 or float32"
    shares = Graph((4,), (Node("shares", "softmax", (INPUT,)),), "shares")
    assert why_not(shares, {}) == "it has a softmax, which the kernel does not know"
    window = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    conv = Node("conv", "conv2d", (INPUT,), "w", None, window)
    graph = Graph((1, 600, 600), (conv,), "conv")
    weight = torch.zeros(1, 1, 3, 3)
    assert why_not(graph, {"w": weight}) is None
    weight[0, 0, 1] = 1.0
    assert why_not(graph, {"w": weight}) == (
        f"a sample takes {3 * 598**2} multiplications, more than {1 << 20}"
    )
    large = Graph((2, 600, 600), (conv,), "conv")
    assert why_not(large, {"w": torch.zeros(1, 2, 3, 3)}) == (
        f"the results of its nodes have more than {1 << 20} numbers"
    )


# -- as a torch operation ------------------------------------------------------------------


def _lenet() -> tuple[FusedNetwork, torch.Tensor]:
    x = torch.randn(2, 1, 28, 28)
    traced = of_module(prune_(KNOWN["lenet5"][0](), 0.95), x)
    assert traced.graph is not None
    return FusedNetwork(traced.graph, traced.tensors), x


def test_a_network_can_be_exported_and_compiled() -> None:
    module, x = _lenet()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert called == ["pruneflow.fused_network.default"]
    wanted = module(x[:1])
    assert torch.equal(exported.module()(x[:1]), wanted)
    assert torch.equal(torch.compile(module, backend="eager", fullgraph=True)(x[:1]), wanted)


def test_the_operation_tells_its_shapes_truly() -> None:
    module, x = _lenet()
    arguments = (x, module.parts, module.plan.to_json(), [])
    torch.library.opcheck(fused_network, arguments, test_utils=("test_schema", "test_faketensor"))
