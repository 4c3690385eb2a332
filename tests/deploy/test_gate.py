"""The gate lets everything pass that float32 can account for, and little else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import isinf, isnan

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.measure import rounding
from pruneflow.deploy.measure.gate import Verdict, reference
from pruneflow.deploy.measure.rounding import Bounded, bounded
from pruneflow.deploy.network import Network as Deployable
from pruneflow.deploy.network import of_graph, of_module
from pruneflow.deploy.place import CPU
from pruneflow.errors import DeployError
from tests.deploy.networks import KNOWN, Network, networks, prune_

INPUTS = 32


def perceptron(sparsity: float = 0.8) -> Network:
    """12, 20 and 5 units, with biases."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, out, wide in (("fc1", 20, 12), ("fc2", 5, 20)):
        keep = torch.rand(out, wide, generator=generator) >= sparsity
        weight = torch.randn(out, wide, generator=generator) / wide**0.5
        tensors[f"{name}.weight"] = weight * keep
        tensors[f"{name}.bias"] = torch.randn(out, generator=generator)
    nodes = (
        Node("fc1", "linear", (INPUT,), "fc1.weight", "fc1.bias"),
        Node("act", "relu", ("fc1",)),
        Node("fc2", "linear", ("act",), "fc2.weight", "fc2.bias"),
    )
    return Network(Graph((12,), nodes, "fc2"), tensors)


def convolutions() -> Network:
    """Two convolutions, pools and a layer behind them."""
    options = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    pool = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": False}
    nodes = (
        Node("conv1", "conv2d", (INPUT,), "conv1.weight", None, options),
        Node("act1", "relu", ("conv1",)),
        Node("pool", "max_pool2d", ("act1",), options={**pool, "dilation": [1, 1]}),
        Node("conv2", "conv2d", ("pool",), "conv2.weight", "conv2.bias", options),
        Node("act2", "relu6", ("conv2",)),
        Node("mean", "global_avg_pool", ("act2",)),
        Node("flat", "flatten", ("mean",)),
        Node("fc", "linear", ("flat",), "fc.weight"),
    )
    generator = torch.Generator().manual_seed(7)
    shapes = {"conv1.weight": (6, 3, 3, 3), "conv2.weight": (8, 6, 3, 3), "fc.weight": (4, 8)}
    tensors = {
        name: torch.randn(shape, generator=generator) / shape[1] ** 0.5
        for name, shape in shapes.items()
    }
    tensors["conv2.bias"] = torch.randn(8, generator=generator)
    return Network(Graph((3, 10, 10), nodes, "fc"), tensors)


def deployable(network: Network) -> Deployable:
    return of_graph(network.graph, network.tensors)


def verdict(network: Network, run: Run, batch: int = INPUTS) -> Verdict:
    return reference(deployable(network), network.inputs(INPUTS)).judge(run, batch)


def engine(network: Network, tensors: dict[str, torch.Tensor] | None = None) -> Run:
    return GraphModule(network.graph, tensors or network.tensors)


# -- the certain bound ---------------------------------------------------------------------


@given(networks(most_nodes=8), st.integers(-60, 30), st.booleans(), st.sampled_from([1, 5]))
@settings(max_examples=300)
def test_float32_stays_within_the_certain_bound(
    network: Network, exponent: int, spread: bool, batch: int
) -> None:
    x = torch.ldexp(network.inputs(batch), torch.tensor(exponent))
    if spread:  # magnitudes side by side that cancel or vanish
        x = torch.ldexp(x, torch.randint(-40, 40, x.shape))
    with torch.no_grad():
        found = engine(network)(x)
        right = bounded(network.graph, network.tensors, x)
    assume(torch.isfinite(found).all())
    assert ((found.double() - right.value).abs() <= right.certain).all()


@given(
    st.integers(1, 400),
    st.sampled_from(["ascending", "descending", "as they are"]),
    st.integers(0, 2**31),
    st.booleans(),
)
@settings(max_examples=200)
def test_any_order_of_a_sum_stays_within_the_certain_bound(
    terms: int, order: str, seed: int, equal: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, terms, generator=generator)
    x = torch.randn(1, terms, generator=generator).exp()
    if equal:
        weight, x = torch.full_like(weight, 0.1), torch.full_like(x, 0.7)
    graph = Graph((terms,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    right = bounded(graph, {"w": weight}, x)
    products = (weight * x)[0].numpy()
    ranks = np.argsort(np.abs(products))
    if order != "as they are":
        products = products[ranks if order == "ascending" else ranks[::-1]]
    found = float(np.cumsum(products, dtype=np.float32)[-1])
    assert abs(found - float(right.value)) <= float(right.certain)


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.7, -0.3, 1.3, -3.7])
@pytest.mark.parametrize("scale", [1.0, 1e-38, 1e-41])
def test_a_slope_is_rounded_as_well(slope: float, scale: float) -> None:
    graph = Graph((1000,), (Node("act", "leaky_relu", (INPUT,), options={"slope": slope}),), "act")
    x = scale * torch.randn(4, 1000)
    right = bounded(graph, {}, x)
    found = nn.functional.leaky_relu(x, slope).double()
    assert ((found - right.value).abs() <= right.certain).all()


@given(
    st.integers(1, 300),
    st.sampled_from([0.0, 0.01, 1.0, 30.0, 300.0, 1e30]),
    st.sampled_from([0.0, 1e-7, 1e-3, 0.5, 40.0]),
    st.integers(0, 2**31),
)
@settings(max_examples=200)
def test_a_softmax_of_numbers_that_are_off_stays_within_the_certain_bound(
    width: int, scale: float, off: float, seed: int
) -> None:
    """The worst directions among them: one number grows while all others fall."""
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(3, width, generator=generator)
    errors = off * torch.rand(3, width, generator=generator).double()
    node = Node("shares", "softmax", (INPUT,))
    right = rounding._step(node, {}, [Bounded(x.double(), errors, errors)], CPU)
    for i in range(0, width, 1 + width // 20):
        signs = -torch.ones(3, width)
        signs[:, i] = 1.0
        for moved in (x + signs * errors, x - signs * errors):
            assert ((moved.softmax(1) - right.value).abs() <= right.certain).all()
            single = moved.float().softmax(1).double()  # which rounds them once more
            least = right.certain + rounding.UNIT * 2 * moved.abs().amax(1, keepdim=True)
            assert ((single - right.value).abs() <= least).all()


def test_shares_are_bounded_tightly() -> None:
    """The bound goes up with the distance of two exponents, and never beyond the share of one."""
    graph = Graph((10,), (Node("shares", "softmax", (INPUT,)),), "shares")
    x = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    for scale, most in ((1.0, 3e-6), (10.0, 1e-5), (1e30, 1.1)):
        assert float(bounded(graph, {}, scale * x).bound.max()) < most


@given(networks())
def test_the_reference_is_the_network_in_float64(network: Network) -> None:
    x = network.inputs()
    with torch.no_grad():
        expected = GraphModule(network.graph, network.tensors).double()(x.double())
    right = bounded(network.graph, network.tensors, x)
    torch.testing.assert_close(right.value, expected, rtol=1e-12, atol=1e-12)
    assert (right.certain >= 0).all()
    assert (right.likely >= 0).all()
    assert (right.bound <= right.certain).all()


def test_no_inputs_have_no_bounds() -> None:
    network = convolutions()
    assert bounded(network.graph, network.tensors, network.inputs(0)).bound.shape == (0, 4)


# -- what has to pass ----------------------------------------------------------------------


@given(networks(), st.sampled_from([1, 3, 32, 100]))
@settings(max_examples=150)
def test_dense_torch_passes(network: Network, batch: int) -> None:
    found = verdict(network, engine(network), batch)
    assert found.passed
    assert found.error <= float(reference(deployable(network), network.inputs(INPUTS)).bound.max())


@pytest.mark.parametrize("side", [7, 64, 112])
@pytest.mark.parametrize("value", [0.1, 0.7, 255.0])
def test_plain_backgrounds_pass_however_they_are_added_up(side: int, value: float) -> None:
    """One number added again and again is rounded the same way every time."""
    graph = Graph((1, side, side), (Node("mean", "global_avg_pool", (INPUT,)),), "mean")
    x = torch.full((2, 1, side, side), value)

    def one_by_one(x: torch.Tensor) -> torch.Tensor:
        sums = np.cumsum(x.flatten(1).numpy(), 1, dtype=np.float32)[:, -1]
        return torch.from_numpy(sums / np.float32(side * side)).reshape(-1, 1, 1, 1)

    right = reference(of_graph(graph, {}), x)
    assert right.judge(one_by_one, 2).passed
    assert right.judge(GraphModule(graph, {}), 2).passed


@pytest.mark.parametrize("name", ["lenet5", "lenet_300_100", "small_resnet"])
@pytest.mark.parametrize("seed", [0, 1])
def test_known_networks_pass_and_little_beside_them(name: str, seed: int) -> None:
    make, shape = KNOWN[name]
    torch.manual_seed(seed)
    network = of_module(prune_(make().eval(), 0.9), torch.zeros(2, *shape))
    assert network.graph is not None
    right = reference(network, torch.randn(INPUTS, *shape))
    found = right.judge(GraphModule(network.graph, network.tensors), INPUTS)
    assert found.passed
    assert float(right.bound.max()) < 2e-5 * float(right.outputs.abs().max())


# -- what must not -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [perceptron, convolutions])
@pytest.mark.parametrize(("change", "least"), [(1e-2, 0.9), (1e-3, 0.5)])
def test_one_weight_that_is_off_is_noticed(
    make: Callable[[], Network], change: float, least: float
) -> None:
    network = make()
    right = reference(deployable(network), network.inputs(INPUTS))
    noticed = []  # of those that have a say: what a dead unit weighs shows nowhere
    for name, tensor in network.tensors.items():
        for place in tensor.flatten().nonzero().flatten().tolist():
            tensors = {**network.tensors, name: tensor.clone()}
            tensors[name].view(-1)[place] *= 1 + change
            exact = bounded(network.graph, tensors, right.inputs).value
            if not torch.equal(exact, right.outputs):
                noticed.append(not right.judge(engine(network, tensors), INPUTS).passed)
    assert len(noticed) > 30
    assert sum(noticed) / len(noticed) >= least


def test_one_weight_of_a_single_layer_is_always_noticed() -> None:
    """A case that has to be red: every input sees the weight."""
    weight = torch.tensor([[0.5, 0.0, -0.25], [0.0, 1.0, 0.75]])
    graph = Graph((3,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    right = reference(of_graph(graph, {"w": weight}), torch.randn(INPUTS, 3))
    assert right.judge(GraphModule(graph, {"w": weight}), 1).passed
    for row, column in weight.nonzero().tolist():
        other = weight.clone()
        other[row, column] *= 1.01
        found = right.judge(GraphModule(graph, {"w": other}), 1)
        assert not found.passed
        assert found.error > found.bound


MISTAKES: dict[str, Callable[[dict[str, torch.Tensor]], None]] = {
    "a weight is missing": lambda t: t["conv2.weight"].view(-1)[17:18].zero_(),
    "two rows are swapped": lambda t: t["fc.weight"].copy_(t["fc.weight"][[1, 0, 2, 3]]),
    "a bias is forgotten": lambda t: t["conv2.bias"].zero_(),
    "a kernel is flipped": lambda t: t["conv1.weight"].copy_(t["conv1.weight"].flip(-1)),
    "weights are rounded": lambda t: t["conv1.weight"].copy_(t["conv1.weight"].half().float()),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_other_weights_do_not_pass(mistake: str) -> None:
    network = convolutions()
    tensors = {name: tensor.clone() for name, tensor in network.tensors.items()}
    MISTAKES[mistake](tensors)
    assert not verdict(network, engine(network, tensors)).passed


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_one_wrong_sample_is_enough(batch: int) -> None:
    network = perceptron()
    right, calls = engine(network), []

    def sometimes(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        y = right(x).clone()
        if sum(calls) == INPUTS:
            y[-1, 2] += 1e-4
        return y

    found = verdict(network, sometimes, batch)
    assert not found.passed
    assert found.error == pytest.approx(1e-4, rel=0.01)
    assert max(calls) == batch


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_does_not_pass(rubbish: float) -> None:
    network = perceptron()

    def broken(x: torch.Tensor) -> torch.Tensor:
        y = engine(network)(x).clone()
        y[0, 0] = rubbish
        return y

    found = verdict(network, broken)
    assert not found.passed
    assert isnan(found.error) or isinf(found.error)


def test_another_shape_does_not_pass() -> None:
    network = perceptron()
    for wrong in (lambda x: engine(network)(x)[:, :3], lambda x: engine(network)(x)[..., None]):
        assert verdict(network, wrong) == Verdict(False, float("inf"), 0.0)


@pytest.mark.filterwarnings("error")
def test_engines_run_without_gradients() -> None:
    network, seen = perceptron(), []

    def watch(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.is_grad_enabled())
        return engine(network)(x)

    assert verdict(network, watch).passed
    assert seen == [False]


def test_a_network_that_blows_up_cannot_be_checked() -> None:
    network = perceptron()
    network.tensors["fc2.bias"][0] = float("inf")
    with pytest.raises(DeployError, match="not finite"):
        reference(deployable(network), network.inputs())


# -- modules that are no graphs ------------------------------------------------------------


class Gated(nn.Module):
    """A layer and shares of its results along a reshaped dimension, which no graph holds."""

    def __init__(self, single: bool = False) -> None:
        super().__init__()
        self.fc, self.single = nn.Linear(12, 20), single

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(x).unsqueeze(1).softmax(-1).squeeze(1)
        return y @ torch.ones(20, 3) if self.single else y


@pytest.mark.parametrize("single", [False, True])
def test_a_module_is_its_own_reference(single: bool) -> None:
    module = Gated(single).eval()
    network = of_module(module, torch.randn(2, 12))
    assert network.graph is None
    right = reference(network, torch.randn(INPUTS, 12))
    assert right.judge(module, 3).passed
    wrong = copy.deepcopy(module)
    with torch.no_grad():
        wrong.fc.bias.mul_(1.01)
    assert right.judge(wrong, 3).passed == single  # the sum of a softmax is 1 whatever it is of


def test_a_module_is_left_in_float32() -> None:
    module = Gated().eval()
    reference(of_module(module, torch.randn(2, 12)), torch.randn(INPUTS, 12))
    assert module.fc.weight.dtype == torch.float32
