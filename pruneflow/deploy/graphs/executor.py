"""A graph as an ``nn.Module``, run with torch operations: the reference of every other backend."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import OPS
from pruneflow.deploy.inputs import require_shape


class GraphModule(nn.Module):
    """Runs a graph, dense; ``torch.export`` and ``torch.compile`` accept it.

    ``.double()`` makes the reference that others are checked against.

    Args:
        graph: What to run.
        tensors: Its weights and biases by name; they are copied.

    Raises:
        BundleError: The tensors do not fit the graph.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        graph.shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        self.graph = graph
        self._slots = {name: f"tensor_{i}" for i, name in enumerate(graph.tensor_names())}
        for name, slot in self._slots.items():
            weight = tensors[name].detach().clone()
            self.register_parameter(slot, nn.Parameter(weight, requires_grad=False))
        self._last_read = {name: node.name for node in graph.nodes for name in node.inputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The network's output for inputs (n, *input_shape).

        Raises:
            DeployError: The inputs have another shape.
        """
        require_shape(x, self.graph.input_shape)
        results = {INPUT: x}
        for node in self.graph.nodes:
            inputs = [results[name] for name in node.inputs]
            for name in set(node.inputs):
                if self._last_read[name] == node.name:
                    del results[name]
            results[node.name] = self.run_node(node, inputs)
        return results[self.graph.output]

    def run_node(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """One node's result for the results it reads."""
        if node.weight is None:
            return OPS[node.op].run(*inputs, **node.options)
        bias = None if node.bias is None else self._tensor(node.bias)
        return OPS[node.op].run(*inputs, self._tensor(node.weight), bias, **node.options)

    def _tensor(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = getattr(self, self._slots[name])
        return tensor
