"""A network's kernels compiled for a GPU that need not be at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pruneflow.deploy.aot.planning import INPUT, OUTPUT, Layer, Work, plan
from pruneflow.deploy.aot.writing import write_cubins
from pruneflow.deploy.backends.base import BACKENDS
from pruneflow.deploy.backends.triton import KERNELS_OF
from pruneflow.deploy.choice import DEFAULT, Cell
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.kernels.fused.launching import ALONE
from pruneflow.deploy.kernels.fused.network import FusedNetwork, why_not
from pruneflow.deploy.kernels.nodes import activation_after, activation_of, is_whole, window_of
from pruneflow.deploy.measure.candidates import Candidates, Tell
from pruneflow.deploy.measure.gate import Reference
from pruneflow.deploy.measure.grid import Outcome
from pruneflow.deploy.network import Network
from pruneflow.deploy.settings import Settings
from pruneflow.deploy.trials import Trials
from pruneflow.errors import DeployError

FOLDER = "kernels"
WHOLE = "whole network"
"""In place of a layer's name."""


def compiled(
    network: Network, folder: Path, settings: Settings, right: Reference, tell: Tell
) -> Trials:
    """Check how kernels pack the network, and compile them into a folder.

    Nothing is launched: what is compared with the reference are the kernels' plain twins, which
    read the same packed weights.

    Args:
        network: What to compile, a graph.
        folder: Where the folder ``kernels/`` goes.
        settings: For which GPU, in which precision, for which sizes of batch.
        right: The right outputs.
        tell: Is told what goes on.

    Raises:
        DeployError: It is no graph, no layer has a kernel, or one cannot be compiled.
    """
    if network.graph is None:
        raise DeployError(f"deploy.target={settings.target}: {network.opaque}")
    found = _checked(network, network.graph, settings, right)
    work: list[Work] = []
    refused: dict[str, str] = {}
    for layer, seen in _layers(network, network.graph):
        try:
            work += plan([layer], [batch * seen for batch in settings.batches])
        except DeployError as error:
            refused[layer.name] = str(error)
    if not work:
        why = "; ".join(refused.values()) or "all are convolutions with groups"
        raise DeployError(f"no layer has a kernel: {why}")
    chosen = {one.layer: one.kernel for one in work}
    work += _whole(network, network.graph, settings)
    rows = write_cubins(work, folder / FOLDER, settings.arch, tell)
    cell = Cell(1, settings.batches[0], DEFAULT, chosen)
    outcome = Outcome({}, DEFAULT, cell, {layer.name: {} for layer in network.layers})
    return Trials([found], [outcome], _verdict(settings, chosen, network), rows)


def _checked(network: Network, graph: Graph, settings: Settings, right: Reference) -> Candidates:
    """Dense torch and the plain twins of all kernels, compared with the reference."""
    found = Candidates(1)
    tensors = network.place.put_all(network.tensors)
    for name in (DEFAULT, *KERNELS_OF):
        try:
            run = BACKENDS[name].build(graph, tensors, 1)
        except DeployError as error:
            found.absent[name] = str(error)
        else:
            found.add(name, run, right, settings.batches)
    return found


def _whole(network: Network, graph: Graph, settings: Settings) -> Iterator[Work]:
    """The network in one launch, by one program for each sample, if it is small enough."""
    tensors = network.place.put_all(network.tensors)
    if why_not(graph, tensors):
        return
    fused = FusedNetwork(graph, tensors)
    fused.config = ALONE
    stored = {f"{WHOLE}:{i}": part for i, part in enumerate(fused.parts)}
    for batch in settings.batches:
        x = torch.empty(batch, *graph.input_shape, dtype=network.place.dtype)
        y = torch.empty(batch, *fused.plan.output, dtype=network.place.dtype)
        launches = fused.launches(x, y)
        yield Work(WHOLE, "fused", batch, ALONE, launches, {INPUT: x, OUTPUT: y, **stored})


def _layers(network: Network, graph: Graph) -> Iterator[tuple[Layer, int]]:
    """Every layer that has a kernel, and how many rows it sees for a sample."""
    nodes = {node.name: node for node in graph.nodes}
    for layer in network.layers:
        node = nodes[layer.name]
        tensors = network.place.put_all(network.layer_tensors(layer))
        weight, bias = tensors[layer.weight], tensors.get(node.bias or "")
        activation = activation_of(activation_after(graph, node))
        if node.op == "linear":
            yield Layer(layer.name, weight, bias, activation), layer.rows
        elif is_whole(node):
            sides = (layer.input_shape[1], layer.input_shape[2])
            yield Layer(layer.name, weight, bias, activation, window_of(node), sides), layer.rows


def _verdict(settings: Settings, chosen: dict[str, str], network: Network) -> dict[str, Any]:
    rest = [layer.name for layer in network.layers if layer.name not in chosen]
    without = f"; {', '.join(rest)} has no kernel" if rest else ""
    why = (
        f"kernels for {settings.arch} were compiled ahead of time, and nothing was timed: their "
        f"tiles are best guesses{without}"
    )
    return {"runs": "sparse", "why": why, "wins_from": None}
