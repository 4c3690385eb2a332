"""What every backend promises, whatever it runs a network with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from pruneflow.deploy.backends import BACKENDS, Run
from pruneflow.deploy.backends.by_layer import KEPT, ByLayer, replaced
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Value
from pruneflow.deploy.measure.gate import reference
from pruneflow.deploy.measure.rounding import bounded
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.network import Layer, of_graph
from pruneflow.errors import DeployError
from tests.deploy.networks import Network, networks
from tests.deploy.side_by_side import side_by_side

BATCHES = (1, 2, 3, 16, 17, 64, 65, 130)
SLOW = ("torch_compile", "torch_compile_frozen", "torch_compile_max")
GPU_ONLY = ("torch_bsr", "torch_2_4")
"""Torch has no such kernels for a CPU, or not for all shapes."""

CHECKS_TYPES = ("c", "onnxruntime")
"""Backends that refuse other types and devices themselves; the others leave that to torch."""

quick = pytest.mark.parametrize("name", [n for n in BACKENDS if n not in (*SLOW, *GPU_ONLY)])

LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda x: x,
    "every other number": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], -1)[..., 0],
    "every other sample": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], 1)[:, 0],
    "samples last": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "one sample many times": lambda x: x[:1].expand_as(x),
    "off the vectors' alignment": lambda x: torch.cat([x.new_zeros(1), x.flatten()])[1:].view_as(x),
    "channels last": lambda x: _channels_last(x),
    "wants gradients": lambda x: x.clone().requires_grad_(),
    "a parameter": lambda x: torch.nn.Parameter(x.clone()),
}
"""How the same inputs may lie in memory."""


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def built(name: str, network: Network, threads: int = 1) -> Run:
    """The network made ready; drawn networks that the backend refuses are left out.

    What is for a GPU runs here by its plain reference.
    """
    backend = BACKENDS[name]
    if why := backend.missing():
        pytest.skip(why)
    if backend.refuses(network.graph):
        reject()
    try:
        return backend.build(network.graph, network.tensors, threads)
    except DeployError:  # no kernel can hold these weights
        reject()


def assert_right(y: torch.Tensor, network: Network, x: torch.Tensor) -> None:
    with using_threads(1), torch.no_grad():
        right = bounded(network.graph, network.tensors, x.detach())
    assert y.shape == right.value.shape
    assert y.dtype == torch.float32
    assert ((y.detach().double() - right.value).abs() <= right.certain).all()


def computes(network: Network) -> Network:
    """Not merely flattens: dense torch's result is then a view of the input."""
    assume(any(node.op != "flatten" for node in network.graph.nodes))
    return network


CONVOLUTION: dict[str, Value] = {
    "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1,
}  # fmt: skip

mlp_nodes = (
    Node("fc1", "linear", (INPUT,), "fc1.weight", "fc1.bias"),
    Node("act", "relu", ("fc1",)),
    Node("fc2", "linear", ("act",), "fc2.weight"),
)


@pytest.fixture
def mlp() -> Network:
    """A perceptron of 12, 20 and 5 units."""
    tensors = {
        "fc1.weight": torch.randn(20, 12) * (torch.rand(20, 12) < 0.3),
        "fc1.bias": torch.randn(20),
        "fc2.weight": torch.randn(5, 20) * (torch.rand(5, 20) < 0.3),
    }
    return Network(Graph((12,), mlp_nodes, "fc2"), tensors)


# -- results -------------------------------------------------------------------------------


@quick
@given(
    network=networks(),
    batch=st.sampled_from(BATCHES),
    threads=st.sampled_from([1, 2]),
    layout=st.sampled_from(list(LAYOUTS)),
    inference=st.booleans(),
)
@settings(max_examples=150)
def test_outputs_are_right_and_new_and_inputs_stay(
    name: str, network: Network, batch: int, threads: int, layout: str, inference: bool
) -> None:
    run, x = built(name, computes(network), threads), LAYOUTS[layout](network.inputs(batch))
    before = x.detach().clone()
    with using_threads(threads), torch.inference_mode(inference):
        first, second = run(x), run(x)
        assert torch.equal(first, second)
        kept = second.clone()
        with torch.no_grad():
            first.fill_(torch.nan)
        assert torch.equal(second, kept)
    assert torch.equal(x, before)
    assert_right(kept, network, x)


@quick
@given(network=networks(), batch=st.sampled_from([1, 3, 32]))
def test_the_gate_lets_it_pass(name: str, network: Network, batch: int) -> None:
    run = built(name, network)
    right = reference(of_graph(network.graph, network.tensors), network.inputs(32))
    assert right.judge(run, batch).passed


@quick
@given(network=networks(), threads=st.sampled_from([1, 2]))
def test_no_samples_have_no_outputs(name: str, network: Network, threads: int) -> None:
    run = built(name, network, threads)
    shape = network.graph.shapes(network.shapes())[network.graph.output]
    with using_threads(threads):
        assert run(network.inputs(0)).shape == (0, *shape)
        assert_right(run(network.inputs(2)), network, network.inputs(2))


@quick
@given(network=networks(), batches=st.lists(st.sampled_from(BATCHES), min_size=2, max_size=4))
@settings(suppress_health_check=[HealthCheck.filter_too_much])  # many have no linear layer
def test_earlier_calls_do_not_matter(name: str, network: Network, batches: list[int]) -> None:
    alone = [built(name, network)(network.inputs(batch)) for batch in batches]
    run = built(name, network)
    for batch, expected in zip(batches, alone, strict=True):
        run(torch.full_like(network.inputs(batch), torch.nan))
        assert torch.equal(run(network.inputs(batch)), expected)


@quick
@given(network=networks())
@settings(max_examples=10)
def test_two_threads_may_use_one_engine(name: str, network: Network) -> None:
    run = built(name, computes(network))
    inputs = [network.inputs(batch, seed) for batch, seed in ((1, 0), (1, 1), (33, 2))]
    for x, results in zip(inputs, side_by_side(run, inputs, 20), strict=True):
        assert_right(torch.cat(results), network, x.repeat(20, *[1] * (x.dim() - 1)))


@quick
def test_weights_are_not_touched(name: str, mlp: Network) -> None:
    before = {key: tensor.clone() for key, tensor in mlp.tensors.items()}
    built(name, mlp)(mlp.inputs())
    assert all(torch.equal(mlp.tensors[key], tensor) for key, tensor in before.items())


@quick
def test_the_default_type_does_not_matter(name: str, mlp: Network) -> None:
    x = mlp.inputs()
    torch.set_default_dtype(torch.float64)
    try:
        y = built(name, mlp)(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_right(y, mlp, x)


# -- refusals ------------------------------------------------------------------------------


@quick
@pytest.mark.parametrize("shape", [(), (12,), (3, 11), (3, 13), (3, 12, 1), (1, 3, 12), (0, 11)])
def test_inputs_of_another_shape_are_refused(
    name: str, mlp: Network, shape: tuple[int, ...]
) -> None:
    with pytest.raises(DeployError, match=r"takes inputs of \(n, 12\), not \("):
        built(name, mlp)(torch.zeros(shape))


OTHERS = {
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "int64": lambda x: x.long(),
    "complex64": lambda x: x.cfloat(),
    "meta": lambda x: x.to("meta"),
}


@quick
@pytest.mark.parametrize("other", list(OTHERS))
def test_inputs_of_another_type_are_refused(name: str, mlp: Network, other: str) -> None:
    run = built(name, mlp)
    x = OTHERS[other](mlp.inputs())
    if name in CHECKS_TYPES:
        with pytest.raises(DeployError, match=f"takes float32 on the CPU, not .*{other}"):
            run(x)
    elif other != "meta":
        with pytest.raises((RuntimeError, DeployError), match=r"dtype|scalar type|takes float32"):
            run(x)
    assert_right(run(mlp.inputs()), mlp, mlp.inputs())


# -- what is said of it --------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_backend_says_what_it_is(name: str) -> None:
    found = BACKENDS[name]
    assert found.kind in ("dense", "sparse")
    if (why := found.missing()) is None:
        assert found.version().strip() == found.version() != ""
    else:
        assert "install" in why


def test_dense_torch_is_the_first_and_takes_everything() -> None:
    assert next(iter(BACKENDS)) == "torch"
    assert BACKENDS["torch"].missing() is None


@given(networks())
def test_dense_backends_refuse_no_graph(network: Network) -> None:
    for name in BACKENDS:
        if BACKENDS[name].kind == "dense":
            assert BACKENDS[name].refuses(network.graph) is None


# -- layer by layer ------------------------------------------------------------------------


def layers_of(network: Network) -> list[Layer]:
    return list(of_graph(network.graph, network.tensors).layers)


def layer_run(name: str, network: Network, layer: Layer) -> Run:
    tensors = {key: network.tensors[key] for key in layer.graph.tensor_names()}
    return BACKENDS[name].build(layer.graph, tensors, 1)


def can_run(name: str, network: Network, layer: Layer) -> bool:
    if BACKENDS[name].refuses(layer.graph):
        return False
    try:
        layer_run(name, network, layer)
    except DeployError:  # its kernels cannot hold the weight
        return False
    return True


@quick
@given(network=networks(), batch=st.sampled_from([1, 3, 17]), data=st.data())
def test_some_layers_run_in_another_way(
    name: str, network: Network, batch: int, data: st.DataObject
) -> None:
    assume(BACKENDS[name].missing() is None)
    able = [layer for layer in layers_of(network) if can_run(name, network, layer)]
    assume(able)
    chosen = [layer for layer in able if data.draw(st.booleans())]
    x = network.inputs(batch)
    runs = {layer.name: layer_run(name, network, layer) for layer in chosen}
    assert_right(ByLayer(network.graph, network.tensors, runs)(x), network, x)

    module = network.module().eval()
    builds = {layer.name: (layer, lambda each: layer_run(name, network, each)) for layer in chosen}
    run = replaced(module, builds)
    with torch.no_grad():
        assert_right(run(x), network, x)
    assert all(type(child).__name__ != "Replaced" for child in module.modules())


def test_a_replaced_layer_takes_rows_of_any_number_of_dimensions(mlp: Network) -> None:
    layer = layers_of(mlp)[0]
    module = torch.nn.Sequential(torch.nn.Linear(12, 20))
    with torch.no_grad():
        module[0].weight.copy_(mlp.tensors["fc1.weight"])
        module[0].bias.copy_(mlp.tensors["fc1.bias"])
    run = replaced(module, {"0": (layer, lambda each: layer_run("torch", mlp, each))})
    for shape in ((12,), (4, 12), (2, 3, 12), (0, 12), (2, 0, 12)):
        x = torch.randn(shape)
        torch.testing.assert_close(run(x), module(x))


def test_a_replaced_layer_is_kept_ready_for_the_last_few_shapes() -> None:
    node = Node("0", "conv2d", (INPUT,), "0.weight", None, CONVOLUTION)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, bias=False))
    built = []

    def build(layer: Layer) -> Run:
        built.append(layer.input_shape[-1])
        assert not torch.is_inference_mode_enabled()
        return BACKENDS["torch"].build(layer.graph, {"0.weight": module[0].weight}, 1)

    run = replaced(module, {"0": (Layer(node, (1, 5, 5)), build)})
    with torch.inference_mode():
        for side in (5, 6, 7, 8, 5, 9, 5, 6, 8):
            x = torch.randn(2, 1, 5, side)
            torch.testing.assert_close(run(x), module(x))
    assert KEPT == 4
    assert built == [5, 6, 7, 8, 9, 6]


# -- what takes seconds --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_compiled_torch_is_right(name: str, mlp: Network) -> None:
    run = built(name, mlp)
    with torch.inference_mode():
        for batch in (1, 3):
            x = mlp.inputs(batch)
            first = run(x)
            assert_right(first, mlp, x)
            assert torch.equal(run(x), first)
        with pytest.raises(DeployError, match="takes inputs of"):
            run(torch.zeros(3, 11))
