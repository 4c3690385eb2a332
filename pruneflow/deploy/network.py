"""A network as deploy sees it: a graph, or a module of which only the layers are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import nn

from pruneflow.deploy.bundles.damage import quoted
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Shape, Value
from pruneflow.deploy.module_state import first_names, load_state, own_copy, state_of
from pruneflow.deploy.place import CPU, Place
from pruneflow.deploy.tracing.calls import UnsupportedGraphError
from pruneflow.deploy.tracing.trace import trace
from pruneflow.errors import BundleError, DeployError

SAME = 1e-3
"""Outputs that differ less are the same."""


@dataclass(frozen=True)
class Layer:
    """A layer with a weight, and what it is fed.

    Attributes:
        node: The operation by itself: it reads INPUT.
        input_shape: Of one row.
        rows: Rows it sees for each sample of the network's: more than one in token models.
    """

    node: Node
    input_shape: Shape
    rows: int = 1

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.node.name

    @property
    def weight(self) -> str:
        """The name of its weight."""
        assert self.node.weight is not None
        return self.node.weight

    @property
    def graph(self) -> Graph:
        """The layer as a network."""
        return Graph(self.input_shape, (self.node,), self.node.name)


@dataclass(frozen=True)
class Network:
    """What is deployed.

    Attributes:
        tensors: Weights, biases and whatever else its state holds, by name.
        layers: Every layer whose weight can be sparse.
        input_shape: Of one sample.
        graph: The whole of it, where it consists of listed operations.
        module: The whole of it, where it does not.
        opaque: Why there is no graph.
        place: Where it is to run. Its own tensors and module stay on the CPU, in float32, rounded
            as they are stored there.
    """

    tensors: Mapping[str, torch.Tensor]
    layers: tuple[Layer, ...]
    input_shape: Shape
    graph: Graph | None = None
    module: nn.Module | None = None
    opaque: str | None = None
    place: Place = CPU

    @cached_property
    def weights(self) -> list[str]:
        """Names of the weights that can be sparse, each once."""
        return list(dict.fromkeys(layer.weight for layer in self.layers))

    @cached_property
    def nonzeros(self) -> dict[str, int]:
        """What is left of each weight, by name."""
        return {name: int(self.tensors[name].count_nonzero()) for name in self.weights}

    @property
    def sparsity(self) -> float:
        """The share of zeros among the weights; 0 where there are none."""
        total = sum(self.tensors[name].numel() for name in self.weights)
        return 1 - sum(self.nonzeros.values()) / total if total else 0.0

    @cached_property
    def flops(self) -> dict[str, int]:
        """Dense floating-point operations of every layer for one sample."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        return {
            layer.name: layer.rows * layer.graph.flops(shapes)[layer.name] for layer in self.layers
        }

    def layer_tensors(self, layer: Layer) -> dict[str, torch.Tensor]:
        """A layer's weight and bias."""
        return {name: self.tensors[name] for name in layer.graph.tensor_names()}

    def with_tensors(self, tensors: Mapping[str, torch.Tensor]) -> Network:
        """The same network with other numbers in it."""
        module = self.module
        if module is not None:
            module = own_copy(module)
            load_state(module, tensors)
        return replace(self, tensors=tensors, module=module)

    def on(self, place: Place) -> Network:
        """The same network, to run at a place."""
        there = replace(self, place=place)
        if place.dtype is torch.float32:
            return there
        rounded = {name: place.rounded(tensor) for name, tensor in self.tensors.items()}
        return there.with_tensors(rounded)


def of_graph(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> Network:
    """A network that is a graph.

    Raises:
        BundleError: The tensors do not fit it.
    """
    for name in graph.tensor_names():
        if name in tensors and tensors[name].dtype is not torch.float32:
            kind = tensors[name].dtype
            raise BundleError(f"{quoted(name)} holds {kind}, and graphs are made of float32")
    shapes = graph.shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    layers = tuple(
        Layer(Node(node.name, node.op, (INPUT,), node.weight, node.bias, node.options),
              shapes[node.inputs[0]])
        for node in graph.nodes
        if node.weight is not None
    )  # fmt: skip
    return Network(tensors, layers, graph.input_shape, graph)


def of_module(module: nn.Module, example: torch.Tensor) -> Network:
    """A module as a graph if it can be one, or else with the layers that can be replaced in it.

    Args:
        module: Left as it was; its own copy is kept where it is no graph.
        example: A batch of float32 inputs (n, ...) on the CPU.

    Raises:
        DeployError: The example does not fit.
    """
    try:
        traced = trace(module, example)
    except UnsupportedGraphError as error:
        return opaque(module, example, str(error))
    return of_graph(traced.graph, traced.tensors)


def opaque(module: nn.Module, example: torch.Tensor, why: str) -> Network:
    """A module whose Python has to stay; see ``of_module``."""
    module = own_copy(module)
    state = state_of(module)
    first = first_names(module)
    tensors = {name: state[name].detach().clone() for name in dict.fromkeys(first.values())}
    layers = tuple(_observed(module, example, first))
    return Network(tensors, layers, tuple(example.shape[1:]), None, module, why)


def _observed(
    module: nn.Module, example: torch.Tensor, first: Mapping[str, str]
) -> Iterator[Layer]:
    """The layers that a forward pass calls, with the shapes of what they are fed."""
    seen: dict[str, Shape] = {}
    names = {child: name for name, child in module.named_modules()}

    def notice(child: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.setdefault(names[child], tuple(inputs[0].shape))

    hooks = [
        child.register_forward_pre_hook(notice)
        for child in names
        if type(child) in (nn.Linear, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            output, again = module(example.clone()), module(example.clone())
    except Exception as error:
        raise DeployError(f"the network cannot run the example: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    _require_rows(output, len(example))
    if not torch.allclose(output, again, rtol=SAME, atol=SAME, equal_nan=True):
        raise DeployError("the network gives other outputs for the same inputs: nothing is certain")
    for name, shape in seen.items():
        child = module.get_submodule(name)
        weight, bias = first.get(f"{name}.weight"), first.get(f"{name}.bias")
        if weight is None or (bias is None) != (child.bias is None):
            continue  # computed from other tensors, by a hook
        if isinstance(child, nn.Linear):
            node = Node(name, "linear", (INPUT,), weight, bias)
            yield Layer(node, shape[-1:], max(prod(shape[:-1]) // len(example), 1))
        elif isinstance(child, nn.Conv2d) and (options := _options(child)) and len(shape) == 4:
            node = Node(name, "conv2d", (INPUT,), weight, bias, options)
            yield Layer(node, shape[1:], max(shape[0] // len(example), 1))


def _require_rows(output: object, rows: int) -> None:
    found = f"a {type(output).__name__}"
    if isinstance(output, torch.Tensor):
        if output.dim() and len(output) == rows and output.is_floating_point():
            return
        found = f"{output.dtype} of {tuple(output.shape)}"
    raise DeployError(
        f"the network has to return one tensor with a row of floating-point numbers for each of "
        f"its {rows} inputs, not {found}"
    )


def _options(layer: nn.Conv2d) -> dict[str, Value] | None:
    """A convolution's options, if it pads with zeros and alike on both sides."""
    if layer.padding_mode != "zeros":
        return None
    if isinstance(layer.padding, str):
        sides = zip(layer.dilation, layer.kernel_size, strict=True)
        total = [gap * (side - 1) * (layer.padding == "same") for gap, side in sides]
        if any(pixels % 2 for pixels in total):
            return None
        padding = [pixels // 2 for pixels in total]
    else:
        padding = list(layer.padding)
    return {
        "stride": list(layer.stride), "padding": padding,
        "dilation": list(layer.dilation), "groups": layer.groups,
    }  # fmt: skip
