"""Networks of which some layers are run in a way of their own."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress

import torch
from torch import nn

from pruneflow.deploy.backends.base import Run, Tensors
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.network import Layer

KEPT = 4
"""Shapes of inputs that a replaced layer stays ready for."""


class ByLayer(GraphModule):
    """A graph run by torch, but for the layers that are given.

    Args:
        graph: What to run.
        tensors: Its weights and biases.
        runs: How to run some of its nodes, by name.
    """

    def __init__(self, graph: Graph, tensors: Tensors, runs: Mapping[str, Run]) -> None:
        super().__init__(graph, tensors)
        self._runs = dict(runs)

    def run_node(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """See base class."""
        run = self._runs.get(node.name)
        return super().run_node(node, inputs) if run is None else run(*inputs)


class Replaced(nn.Module):
    """In place of a layer of a module; made ready for each shape of inputs when it comes,
    and for the last few of them at a time.

    It has the layer's weight and bias, for modules that read them themselves.

    Args:
        original: The layer.
        layer: What it does.
        build: Makes a run for rows of a shape.
    """

    def __init__(self, original: nn.Module, layer: Layer, build: Callable[[Layer], Run]) -> None:
        super().__init__()
        self._layer, self._build = layer, build
        self.weight, self.bias = original.weight, original.bias
        self._runs: OrderedDict[Shape, Run] = OrderedDict()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer would return."""
        dims = len(self._layer.input_shape)
        shape = tuple(x.shape[x.dim() - dims :])
        y = self._run(shape)(x.reshape(-1, *shape))
        return y.reshape(*x.shape[: x.dim() - dims], *y.shape[1:])

    def _run(self, shape: Shape) -> Run:
        run = self._runs.get(shape)
        if run is None:
            with torch.inference_mode(False), torch.no_grad():  # later calls may be in neither
                run = self._build(Layer(self._layer.node, shape))
            self._runs[shape] = run
            if len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        else:
            with suppress(KeyError):  # another thread may just have dropped it
                self._runs.move_to_end(shape)
        return run


def replaced(module: nn.Module, builds: Mapping[str, tuple[Layer, Callable[[Layer], Run]]]) -> Run:
    """A copy of a module in which some layers are run in a way of their own, by their names."""
    module = copy.deepcopy(module)
    for name, (layer, build) in builds.items():
        parent, _, child = name.rpartition(".")
        holder = module.get_submodule(parent)
        setattr(holder, child, Replaced(getattr(holder, child), layer, build))
    return module.eval()
