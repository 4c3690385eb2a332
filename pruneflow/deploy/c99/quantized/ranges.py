"""Between which numbers every result of a network lies, on inputs it is calibrated with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

import torch

from pruneflow.deploy.c99.quantized.quantities import Range
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph
from pruneflow.errors import DeployError


def ranges_of(
    graph: Graph, tensors: Mapping[str, torch.Tensor], batches: Iterable[torch.Tensor]
) -> dict[str, Range]:
    """The least and the largest number of every result, and of INPUT.

    Args:
        graph: The network.
        tensors: Its weights and biases.
        batches: Inputs (n, ...).

    Raises:
        DeployError: There are no inputs, or a result is not finite.
    """
    network = GraphModule(graph, tensors)
    found: dict[str, Range] = {}
    with torch.inference_mode():
        for batch in batches:
            results = {INPUT: batch}
            _widen(found, INPUT, batch)
            for node in graph.nodes:
                results[node.name] = network.run_node(node, [results[name] for name in node.inputs])
                _widen(found, node.name, results[node.name])
    if not found:
        raise DeployError("deploy.activations=int8: there are no inputs to calibrate ranges with")
    return found


def _widen(found: dict[str, Range], name: str, values: torch.Tensor) -> None:
    low, high = (float(value) for value in values.aminmax())
    if not isfinite(low) or not isfinite(high):
        raise DeployError(
            f"deploy.activations=int8: {name} is not finite on an input that ranges are calibrated "
            "with"
        )
    old = found.get(name, (low, high))
    found[name] = (min(low, old[0]), max(high, old[1]))
