"""ONNX: another runtime computes the same."""

from __future__ import annotations

import sys

import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings

from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.onnx_model import WRITERS, build
from pruneflow.deploy.graphs.ops import OPS, Value
from pruneflow.deploy.tracing.trace import trace
from pruneflow.errors import BundleError, DeployError
from tests.deploy.networks import Network, networks, prune_, small_resnet


def run(model: bytes, x: torch.Tensor) -> torch.Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])


@given(networks())
@settings(max_examples=300)
def test_onnxruntime_computes_what_the_graph_says(network: Network) -> None:
    model = build(network.graph, network.tensors)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    module = GraphModule(network.graph, network.tensors)
    for batch in (1, 3):
        x = network.inputs(batch)
        torch.testing.assert_close(run(model, x), module(x), rtol=1e-4, atol=1e-4)


def test_every_operation_is_there() -> None:
    assert WRITERS.keys() == OPS.keys()


@pytest.mark.parametrize("side", range(1, 8))
@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
def test_windows_that_stick_out(op: str, side: int) -> None:
    """Every small pool with ``ceil_mode``, about which runtimes disagree."""
    extra: list[dict[str, Value]] = [{"count_include_pad": True}, {"count_include_pad": False}]
    if op == "max_pool2d":
        extra = [{"dilation": [1, 1]}, {"dilation": [2, 1]}]
    x, seen = torch.randn(2, 1, side, side), 0
    for kernel, stride, padding in [
        (k, s, p) for k in (1, 2, 3) for s in (1, 2, 4) for p in (0, 1)
    ]:
        for more in extra:
            options = {"kernel": [kernel] * 2, "stride": [stride] * 2, "padding": [padding] * 2}
            node = Node("p", op, (INPUT,), options={**options, "ceil_mode": True, **more})
            graph = Graph((1, side, side), (node,), "p")
            try:
                graph.shapes({})
            except BundleError:
                continue
            torch.testing.assert_close(run(build(graph, {}), x), GraphModule(graph, {})(x))
            seen += 1
    assert seen >= 6


def test_a_pruned_residual_network() -> None:
    traced = trace(prune_(small_resnet(), 0.9), torch.randn(2, 3, 16, 16))
    x = torch.randn(4, 3, 16, 16)
    expected = GraphModule(traced.graph, traced.tensors)(x)
    torch.testing.assert_close(run(build(traced.graph, traced.tensors), x), expected)


def test_names_and_versions() -> None:
    graph = Graph((3,), (Node("w", "linear", (INPUT,), "w", "b"),), "w")
    tensors = {"w": torch.randn(2, 3).double(), "b": torch.randn(2)}
    model = onnx.load_from_string(build(graph, tensors))
    assert [entry.version for entry in model.opset_import] == [17]
    assert model.ir_version == 8
    ends = [*model.graph.input, *model.graph.output]
    assert [end.name for end in ends] == ["input", "w"]
    assert ends[0].type.tensor_type.shape.dim[0].dim_param == "n"


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    graph = Graph((3,), (Node("r", "relu", (INPUT,)),), "r")
    with pytest.raises(DeployError, match="pip install 'pruneflow"):
        build(graph, {})
