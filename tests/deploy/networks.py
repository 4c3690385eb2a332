"""Networks for the tests of deployment: drawn ones, and four that everybody knows.

``networks()`` draws a graph with its tensors in no time; ``Network.module`` is the same network
as a person would have written it, with batch normalization where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import OPS, Shape, Value

# -- drawn ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A graph and its tensors."""

    graph: Graph
    tensors: dict[str, torch.Tensor]

    def shapes(self) -> dict[str, Shape]:
        """Shapes of its tensors."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def inputs(self, batch: int = 3, seed: int = 0) -> torch.Tensor:
        """Normal random inputs (batch, ...)."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch, *self.graph.input_shape, generator=generator)

    def module(self, norms: Collection[str] = (), seed: int = 0) -> nn.Module:
        """The same network as a module; every node in ``norms`` is followed by a BatchNorm."""
        return _Written(self, norms, seed)

    def normable(self) -> list[str]:
        """Layers that a BatchNorm may follow."""
        return [
            node.name
            for node in self.graph.nodes
            if node.weight and len(self.graph.consumers(node.name)) < 2
        ]


@st.composite
def networks(draw: st.DrawFn, most_nodes: int = 6, softmax: bool = True) -> Network:
    """A chain of operations with residual additions, on maps or on features."""
    maps = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
    shape: Shape = draw(
        st.sampled_from([maps, maps, maps, st.tuples(st.integers(1, 40))]).flatmap(
            lambda kind: kind
        )
    )
    plan = _Plan(draw, shape)
    for _ in range(draw(st.integers(1, most_nodes))):
        kinds = ["layer", "layer", "relu", "relu6", "leaky_relu", "residual", "add"]
        if len(plan.shape) == 3:
            kinds += ["max_pool2d", "max_pool2d", "avg_pool2d", "avg_pool2d", "global_avg_pool"]
            kinds += ["layer", "flatten"]
        elif softmax:
            kinds += ["softmax"]
        plan.grow(draw(st.sampled_from(kinds)))
    graph = Graph(shape, tuple(plan.nodes), plan.nodes[-1].name)
    return Network(graph, plan.tensors)


@dataclass
class _Plan:
    draw: st.DrawFn
    input_shape: Shape
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes = {INPUT: self.input_shape}
        self.last = INPUT
        self.seed = self.draw(st.integers(0, 2**31))

    @property
    def shape(self) -> Shape:
        return self.shapes[self.last]

    def grow(self, kind: str) -> None:
        """Append an operation, or a layer whose result is added to its input."""
        if kind == "residual":
            before = self.last
            self._layer(same=True)
            self._append("add", (before, self.last))
        elif kind == "layer":
            self._layer(same=False)
        elif kind == "add":
            alike = [name for name, shape in self.shapes.items() if shape == self.shape]
            self._append("add", (self.last, self.draw(st.sampled_from(alike))))
        elif kind in ("max_pool2d", "avg_pool2d"):
            self._append(kind, options=self._pool(kind))
        else:
            slope: dict[str, Value] = {"slope": self.draw(st.sampled_from([0.01, -0.5, 2.0]))}
            self._append(kind, options=slope if kind == "leaky_relu" else {})

    def _append(
        self,
        op: str,
        inputs: tuple[str, ...] = (),
        options: dict[str, Value] | None = None,
        weight: Shape | None = None,
    ) -> None:
        name = f"{op}{len(self.nodes)}"
        inputs = inputs or (self.last,)
        node = Node(name, op, inputs, options=options or {})
        shapes = [self.shapes[each] for each in inputs]
        if weight is not None:
            bias = f"{name}.bias" if self.draw(st.booleans()) else None
            node = Node(name, op, inputs, f"{name}.weight", bias, options or {})
            self._fill(node, weight)
            shapes.append(weight)
        self.shapes[name] = OPS[op].shape(*shapes, **node.options)
        self.nodes.append(node)
        self.last = name

    def _fill(self, node: Node, shape: Shape) -> None:
        """Random weights at a drawn density."""
        generator = torch.Generator().manual_seed(self.seed + len(self.nodes))
        density = self.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
        weight = torch.randn(shape, generator=generator) / max(1, prod(shape[1:])) ** 0.5
        keep = torch.rand(shape, generator=generator) < density
        self.tensors[f"{node.name}.weight"] = torch.where(keep, weight, 0.0)
        if node.bias is not None:
            self.tensors[node.bias] = torch.randn(shape[0], generator=generator)

    def _layer(self, same: bool) -> None:
        draw, shape = self.draw, self.shape
        if len(shape) == 1:
            out = shape[0] if same else draw(st.integers(1, 40))
            self._append("linear", weight=(out, shape[0]))
            return
        groups = draw(st.sampled_from([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
        if same:
            kernel = [draw(st.sampled_from([1, 3])) for _ in range(2)]
            dilation = [draw(st.integers(1, 2)) for _ in range(2)]
            padding = [gap * (k - 1) // 2 for gap, k in zip(dilation, kernel, strict=True)]
            stride, out = [1, 1], shape[0]
        else:
            padding = [draw(st.integers(0, 2)) for _ in range(2)]
            kernel, dilation = self._windows(padding)
            stride = [draw(st.integers(1, 3)) for _ in range(2)]
            out = groups * draw(st.integers(1, 4))
        options: dict[str, Value] = {"stride": stride, "padding": padding, "dilation": dilation}
        weight = (out, shape[0] // groups, *kernel)
        self._append("conv2d", options={**options, "groups": groups}, weight=weight)

    def _windows(self, padding: list[int]) -> tuple[list[int], list[int]]:
        """Kernels and dilations that fit the padded maps."""
        kernels, gaps = [], []
        for side, pad in zip(self.shape[1:], padding, strict=True):
            kernels.append(self.draw(st.integers(1, min(5, side + 2 * pad))))
            room = (side + 2 * pad - 1) // max(1, kernels[-1] - 1)
            gaps.append(self.draw(st.integers(1, max(1, min(3, room)))))
        return kernels, gaps

    def _pool(self, kind: str) -> dict[str, Value]:
        draw = self.draw
        kernel = [draw(st.integers(1, min(4, side))) for side in self.shape[1:]]
        padding = [draw(st.integers(0, k // 2)) for k in kernel]
        options: dict[str, Value] = {
            "kernel": kernel,
            "stride": [draw(st.integers(1, 4)) for _ in range(2)],
            "padding": padding,
            "ceil_mode": draw(st.booleans()),
        }
        if kind == "avg_pool2d":
            return {**options, "count_include_pad": draw(st.booleans())}
        gaps = []
        for side, k, pad in zip(self.shape[1:], kernel, padding, strict=True):
            room = min(side, (side + 2 * pad - 1) // max(1, k - 1))
            gaps.append(draw(st.integers(1, max(1, min(3, room)))))
        return {**options, "dilation": gaps}


# -- the same as a module ------------------------------------------------------------------


class _Add(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


class _Written(nn.Module):
    """A module whose layers carry the names of a graph's nodes."""

    def __init__(self, network: Network, norms: Collection[str], seed: int) -> None:
        super().__init__()
        self.graph = network.graph
        for node in network.graph.nodes:
            layer = _layer(node, network.tensors)
            self.add_module(node.name, layer)
            if node.name in norms:
                norm = nn.BatchNorm1d if node.op == "linear" else nn.BatchNorm2d
                assert node.weight is not None
                self.add_module(f"{node.name}_norm", norm(len(network.tensors[node.weight])))
        randomize_norms_(self, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {INPUT: x}
        for node in self.graph.nodes:
            result = getattr(self, node.name)(*(values[name] for name in node.inputs))
            norm = getattr(self, f"{node.name}_norm", nn.Identity())
            values[node.name] = norm(result)
        return values[self.graph.output]


def _layer(node: Node, tensors: dict[str, torch.Tensor]) -> nn.Module:
    options: dict[str, Any] = {
        {"kernel": "kernel_size", "slope": "negative_slope"}.get(key, key): value
        for key, value in node.options.items()
    }
    if node.weight is None:
        plain: dict[str, Callable[..., nn.Module]] = {
            "relu": nn.ReLU,
            "relu6": nn.ReLU6,
            "leaky_relu": nn.LeakyReLU,
            "max_pool2d": nn.MaxPool2d,
            "avg_pool2d": nn.AvgPool2d,
            "global_avg_pool": lambda: nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten,
            "add": _Add,
            "softmax": lambda: nn.Softmax(1),
        }
        return plain[node.op](**options)
    out, width, *kernel = tensors[node.weight].shape
    layer = (
        nn.Conv2d(width * options["groups"], out, kernel, bias=bool(node.bias), **options)  # type: ignore[arg-type]
        if kernel
        else nn.Linear(width, out, bias=bool(node.bias))
    )
    with torch.no_grad():
        layer.weight.copy_(tensors[node.weight])
        if node.bias is not None:
            assert layer.bias is not None
            layer.bias.copy_(tensors[node.bias])
    return layer


# -- known networks ------------------------------------------------------------------------


class LeNet5(nn.Module):
    """Caffe's LeNet-5 for (n, 1, 28, 28); 430,500 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two convolutions with batch normalization and a shortcut."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width != out:
            narrow = nn.Conv2d(width, out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(narrow, nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return y.relu_()


def lenet5() -> nn.Module:
    """LeNet-5 for inputs (n, 1, 28, 28)."""
    return LeNet5()


def _perceptron(*widths: int) -> nn.Module:
    layers = [nn.Flatten()]
    for wide, out in pairwise(widths):
        layers += [nn.Linear(wide, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet_300_100() -> nn.Module:
    """The 784-300-100-10 perceptron for inputs (n, 1, 28, 28)."""
    return _perceptron(784, 300, 100, 10)


def mlp() -> nn.Module:
    """A 784-1024-1024-10 perceptron for inputs (n, 1, 28, 28)."""
    return _perceptron(784, 1024, 1024, 10)


def small_resnet() -> nn.Module:
    """A residual network for inputs (n, 3, 16, 16), its running statistics random."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        Block(8, 8, 1),
        Block(8, 16, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    return randomize_norms_(network)


KNOWN: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "lenet5": (lenet5, (1, 28, 28)),
    "lenet_300_100": (lenet_300_100, (1, 28, 28)),
    "mlp": (mlp, (1, 28, 28)),
    "small_resnet": (small_resnet, (3, 16, 16)),
}
"""Every known network and the shape of one input."""


def randomize_norms_(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every BatchNorm random running statistics, weights of both signs and biases."""
    generator = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.3, 3.0, generator=generator)
            with torch.no_grad():
                norm.weight.normal_(generator=generator)
                norm.bias.normal_(generator=generator)
    return module


@torch.no_grad()
def prune_(module: nn.Module, sparsity: float, seed: int = 0) -> nn.Module:
    """Set a share of every Linear and Conv2d weight to zero, uniformly at random."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            order = torch.randperm(layer.weight.numel(), generator=generator)
            layer.weight.view(-1)[order[: round(sparsity * len(order))]] = 0.0
    return module
