"""The reference: a graph run with torch operations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.errors import BundleError, DeployError
from tests.deploy.networks import Network, networks

HARMLESS = [
    "ignore:.*torch.jit.script_method:DeprecationWarning",  # inductor, when it is loaded
]


@given(networks())
@settings(max_examples=150)
def test_a_graph_does_what_the_module_does(network: Network) -> None:
    module, reference = GraphModule(network.graph, network.tensors), network.module().eval()
    with torch.no_grad():
        for batch in (1, 3):
            x = network.inputs(batch)
            torch.testing.assert_close(module(x), reference(x))
        torch.testing.assert_close(module.double()(x.double()), reference.double()(x.double()))


def _residual() -> tuple[Graph, dict[str, torch.Tensor]]:
    window = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    pool = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "ceil_mode": True}
    nodes = (
        Node("conv", "conv2d", (INPUT,), "conv.weight", "conv.bias", window),
        Node("act", "leaky_relu", ("conv",), options={"slope": 0.1}),
        Node("sum", "add", ("act", INPUT)),
        Node("max", "max_pool2d", ("sum",), options={**pool, "dilation": [1, 1]}),
        Node("avg", "avg_pool2d", ("max",), options={**pool, "count_include_pad": False}),
        Node("act6", "relu6", ("avg",)),
        Node("flat", "flatten", ("act6",)),
        Node("fc", "linear", ("flat",), "fc.weight"),
        Node("out", "relu", ("fc",)),
    )
    tensors = {
        "conv.weight": torch.randn(2, 2, 3, 3),
        "conv.bias": torch.randn(2),
        "fc.weight": torch.randn(5, 18),
    }
    return Graph((2, 9, 9), nodes, "out"), tensors


def test_weights_are_its_own() -> None:
    graph, tensors = _residual()
    module, x = GraphModule(graph, tensors), torch.randn(2, 2, 9, 9)
    before = module(x)
    for tensor in tensors.values():
        tensor.zero_()
    assert torch.equal(module(x), before)
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("shape", [(2, 9, 9), (1, 2, 9, 8), (1, 1, 2, 9, 9), (2, 162)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DeployError, match=r"takes inputs of \(n, 2, 9, 9\), not \("):
        GraphModule(*_residual())(torch.randn(shape))


def test_tensors_that_do_not_fit_are_refused() -> None:
    graph, tensors = _residual()
    with pytest.raises(BundleError, match=r"takes \(17,\)"):
        GraphModule(graph, tensors | {"fc.weight": torch.randn(5, 17)})


@pytest.mark.parametrize("strict", [False, True])
def test_it_is_exported_with_any_batch(strict: bool) -> None:
    module, x = GraphModule(*_residual()), torch.randn(3, 2, 9, 9)
    sizes = ({0: torch.export.Dim("batch", min=1)},)
    exported = torch.export.export(module, (x,), dynamic_shapes=sizes, strict=strict).module()
    for rows in (1, 3, 8):
        x = torch.randn(rows, 2, 9, 9)
        assert torch.equal(exported(x), module(x))


def test_it_is_traced_as_one_piece() -> None:
    module, x = GraphModule(*_residual()), torch.randn(3, 2, 9, 9)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), module(x))


@pytest.mark.slow
@pytest.mark.filterwarnings(*HARMLESS)
def test_it_is_compiled() -> None:
    torch._dynamo.reset()  # it counts what other tests compiled
    module, x = GraphModule(*_residual()), torch.randn(3, 2, 9, 9)
    compiled = torch.compile(module, fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))
