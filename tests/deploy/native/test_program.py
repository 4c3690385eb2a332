"""A program: what it takes and refuses, and what its outputs are."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Value
from pruneflow.deploy.native.assemble import Layout
from pruneflow.deploy.native.program import NativeProgram
from pruneflow.errors import BundleError, DeployError
from tests.deploy.native.kernels import assert_right, linear, needs_compiler, sparse_matrix
from tests.deploy.networks import Network

pytestmark = needs_compiler


@pytest.fixture
def network() -> Network:
    """A layer of 40 inputs and 20 outputs."""
    return linear(sparse_matrix(20, 40, 0.3, seed=0))


def program(network: Network) -> NativeProgram:
    return NativeProgram(network.graph, network.tensors)


def convolution(shape: tuple[int, int, int], kernel: list[int], **options: Value) -> Network:
    """One convolution with one weight in the last corner of its kernel."""
    weight = torch.zeros(1, shape[0], *kernel)
    weight[..., -1, -1] = 1.0
    defaults: dict[str, Value] = {
        "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1,
    }  # fmt: skip
    node = Node("conv", "conv2d", (INPUT,), "conv.weight", options=defaults | options)
    return Network(Graph(shape, (node,), "conv"), {"conv.weight": weight})


def test_weights_are_its_own(network: Network) -> None:
    run, x = program(network), network.inputs()
    before = run(x)
    for tensor in network.tensors.values():
        tensor.zero_()
    assert torch.equal(run(x), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int8])
def test_tensors_of_another_type_are_made_float32(network: Network, dtype: torch.dtype) -> None:
    """C would read beyond the end of a bias of bytes."""
    rounded = {name: (4 * tensor).to(dtype) for name, tensor in network.tensors.items()}
    run = NativeProgram(network.graph, rounded)
    assert_right(run, Network(network.graph, rounded), network.inputs())


def test_tensors_may_lie_anyhow_and_want_gradients(network: Network) -> None:
    weight = network.tensors["fc.weight"].t().contiguous().t().requires_grad_()
    bias = torch.stack([network.tensors["fc.bias"]] * 2, 1)[:, 0]
    run = NativeProgram(network.graph, {"fc.weight": weight, "fc.bias": bias})
    x = network.inputs()
    assert torch.equal(run(x), program(network)(x))


def test_tensors_that_do_not_fit_are_refused(network: Network) -> None:
    with pytest.raises(BundleError, match=r"there is no tensor 'fc\.bias'"):
        NativeProgram(network.graph, {"fc.weight": torch.zeros(20, 40)})


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_the_default_type_does_not_matter(network: Network, default: torch.dtype) -> None:
    run, x = program(network), network.inputs()
    expected = run(x)
    torch.set_default_dtype(default)
    try:
        assert torch.equal(run(x), expected)
        assert torch.equal(program(network)(x), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_default_device_does_not_matter(network: Network) -> None:
    run, x = program(network), network.inputs()
    with torch.device("meta"):
        y = run(x)
    assert torch.equal(y, run(x))


def test_outputs_outside_inference_mode_are_ordinary(network: Network) -> None:
    run, x = program(network), network.inputs()
    with torch.inference_mode():
        assert run(x).is_inference()
    y = run(x)
    assert not y.is_inference()
    assert y.is_leaf
    y.requires_grad_().sum().backward()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda run: _through_a_file(run)])
def test_copies_live_on_their_own(network: Network, copied: Callable) -> None:
    run, x = program(network), network.inputs()
    expected, other = run(x), copied(run)
    del run
    assert torch.equal(other(x), expected)


def _through_a_file(run: NativeProgram) -> NativeProgram:
    file = io.BytesIO()
    torch.save(run, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_what_a_stride_jumps_over_takes_no_memory() -> None:
    network = convolution((2, 9, 9), [1, 1], stride=[4, 4])
    layout = Layout(network.graph, network.shapes())
    assert layout.phases["conv"].channels == 2
    assert_right(program(network), network, network.inputs())


@pytest.mark.parametrize("stride", [[65535, 65535], [65535, 1], [1, 65535]])
def test_strides_far_beyond_the_input(stride: list[int]) -> None:
    network = convolution((2, 5, 7), [3, 3], stride=stride, padding=[1, 1])
    assert_right(program(network), network, network.inputs())


HOSTILE = {
    "padding": ([3, 3], {"padding": [65535] * 2, "dilation": [65535] * 2}),
    "padding and stride": (
        [3, 3], {"padding": [65535] * 2, "dilation": [65535] * 2, "stride": [65535] * 2},
    ),
    "one side": ([1, 3], {"padding": [0, 65535], "dilation": [1, 65535]}),
}  # fmt: skip


@pytest.mark.parametrize("case", list(HOSTILE))
def test_padding_that_fills_the_memory_is_refused(case: str) -> None:
    """A bundle is a stranger's file: sizes must neither wrap around nor fill the machine."""
    kernel, options = HOSTILE[case]
    network = convolution((2**14, 1, 1), kernel, **options)
    with pytest.raises(DeployError, match=r"the padded input of conv would take [\d.e+]+ GiB"):
        program(network)


def test_many_feature_maps_beside_a_wide_padding_are_refused() -> None:
    network = convolution((1, 1, 1), [1, 3], padding=[0, 65535], dilation=[1, 65535])
    tensors = {"conv.weight": torch.zeros(2**14, 1, 1, 3)}
    with pytest.raises(DeployError, match="the feature maps of a sample would take 8 GiB"):
        NativeProgram(network.graph, tensors)
