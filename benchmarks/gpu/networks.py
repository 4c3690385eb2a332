"""Networks for images of digits: as the zoo has them, but without Lightning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.cases import RANDOM, mask
from benchmarks.gpu.machine import Machine
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.tracing.trace import Traced, trace


def mlp(*sizes: int) -> nn.Module:
    """A perceptron for flattened images."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convnet(first: int, second: int, flat: int, hidden: int) -> nn.Module:
    """Two convolutions of 5 x 5 with pooling, then two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, first, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 10),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "LeNet-300-100": (lambda: mlp(784, 300, 100, 10), 28),
    "LeNet-5": (lambda: convnet(20, 50, 800, 500), 28),
    "MLP 784-1024-1024-10": (lambda: mlp(784, 1024, 1024, 10), 28),
    "tiny MLP": (lambda: mlp(256, 48, 10), 16),
    "tiny convnet": (lambda: convnet(2, 4, 4, 16), 16),
}
"""How to make a network, and the side of its images; the zoo's have the zoo's shapes."""


class Dense:
    """A network in dense torch whose weights can be exchanged, so that it is compiled once."""

    def __init__(self, name: str, machine: Machine) -> None:
        make, self.side = NETWORKS[name]
        torch.manual_seed(0)
        self.machine = machine
        self.traced = trace(make().eval(), torch.randn(2, 1, self.side, self.side))
        self.module: GraphModule | None = None

    def load(self, traced: Traced, dtype: torch.dtype) -> GraphModule:
        """The module, with other weights in it."""
        new = GraphModule(traced.graph, traced.tensors).to(self.machine.device, dtype)
        if self.module is None:
            self.module = new
        self.module.load_state_dict(new.state_dict())
        return self.module

    @cache  # noqa: B019 - one object for each network, kept anyway
    def compiled(self, mode: str | None) -> Any:
        """The module compiled, for whatever weights it has."""
        assert self.module is not None
        return self.machine.compile(self.module, mode)


@cache
def dense_of(name: str, machine: Machine) -> Dense:
    """The one module of a network."""
    return Dense(name, machine)


def sparse(traced: Traced, sparsity: float, dtype: torch.dtype) -> Traced:
    """The network with the same share of each weight set to zero, rounded to a dtype."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in traced.tensors.items():
        kept = tensor
        if tensor.dim() > 1:
            keep = mask(RANDOM, (len(tensor), tensor[0].numel()), 1 - sparsity, generator)
            kept = tensor * keep.view_as(tensor)
        tensors[name] = kept.to(dtype).float()
    return Traced(traced.graph, tensors)
