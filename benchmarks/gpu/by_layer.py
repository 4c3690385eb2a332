"""A network whose layers are each run by the kernel that is fastest for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.engine import Made, NotHereError, fastest_of, words
from benchmarks.gpu.machine import Machine
from pruneflow.deploy.backends.by_layer import ByLayer
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.kernels import KERNELS, Activation, Window
from pruneflow.deploy.kernels.base import ACTIVATIONS
from pruneflow.deploy.kernels.launch import Launch

Call = Callable[[torch.Tensor], torch.Tensor]

SECONDS = 5.0
"""For the configurations of one layer."""


def by_layer(
    graph: Graph, tensors: Mapping[str, torch.Tensor], x: torch.Tensor, machine: Machine
) -> Made:
    """A network for inputs like these.

    Args:
        graph: The network.
        tensors: Its weights and biases on the machine's device.
        x: (n, *input_shape).
        machine: Where it is to run.

    Raises:
        NotHereError: No kernel holds any of its weights.
    """
    shapes = graph.shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    runs: dict[str, Call] = {}
    chosen = {}
    for node in graph.nodes:
        if node.weight is None:
            continue
        given = torch.randn(len(x), *shapes[node.inputs[0]]).to(x)
        if given.dim() == 4:
            given = given.contiguous(memory_format=torch.channels_last)
        activation = activation_after(graph, node)
        calls, launches = _calls(node, tensors, activation, given)
        if not calls:
            chosen[node.name] = "dense: no kernel holds it"
            continue
        machine.compile_launches(launches)
        timed = {name: partial(call, given) for name, call in calls.items()}
        chosen[node.name] = fastest_of(timed, machine, SECONDS)
        runs[node.name] = calls[chosen[node.name]]
        if activation is not None:
            runs[activation.name] = _as_it_is
    if not runs:
        raise NotHereError("no kernel holds any of its weights")
    module = ByLayer(graph, tensors, runs).eval()
    return Made({"fastest": lambda: module(x)}, notes={"layers": chosen})


def activation_after(graph: Graph, node: Node) -> Node | None:
    """The activation that alone reads a result."""
    readers = graph.consumers(node.name)
    alone = len(readers) == 1 and readers[0].op in ACTIVATIONS
    return readers[0] if alone else None


def _calls(
    node: Node, tensors: Mapping[str, torch.Tensor], after: Node | None, x: torch.Tensor
) -> tuple[dict[str, Call], list[Launch]]:
    """Every kernel that holds a layer's weight, in every configuration for such inputs."""
    weight = tensors[str(node.weight)]
    bias = None if node.bias is None else tensors[node.bias]
    rest = (bias, _activation(after), _window(node))
    calls: dict[str, Call] = {}
    launches: list[Launch] = []
    for name in KERNELS:
        kernel, held = KERNELS[name], weight.cpu()
        if kernel.op != node.op or kernel.refuses(held):
            continue
        packed = kernel.pack(held).to(weight.device)
        y = kernel.output(x, packed, rest[2])
        for config in kernel.configs(packed, y.numel() // y.shape[1]):

            def call(x: torch.Tensor, of: Any = (kernel, packed, config)) -> torch.Tensor:
                kernel, packed, config = of
                found: torch.Tensor = kernel.run(x, packed, *rest, config)
                return found

            calls[f"{name}: {words(config)}"] = call
            launches += kernel.launches(x, packed, *rest, config, y)
    return calls, launches


def _activation(node: Node | None) -> Activation:
    if node is None:
        return Activation()
    slope: Any = node.options.get("slope", 0.0)
    return Activation(node.op, float(slope))


def _window(node: Node) -> Window:
    options: Any = node.options
    if node.op != "conv2d":
        return Window()
    return Window(*(tuple(options[key]) for key in ("stride", "padding", "dilation")))


def _as_it_is(x: torch.Tensor) -> torch.Tensor:
    return x
