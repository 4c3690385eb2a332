"""Batch normalization folded into the convolution or linear layer before it.

In evaluation mode it is ``(x - mean) / sqrt(var + eps) * weight + bias`` for every channel, which
a layer does by itself with other weights. Zeros stay +0.0, so that a mask stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from pruneflow.deploy.graphs.graph import Node
from pruneflow.deploy.tracing.calls import UnsupportedGraphError
from pruneflow.deploy.tracing.naming import fresh


@dataclass(frozen=True)
class Norm:
    """A batch normalization, as a factor and a shift of every channel, in float64."""

    scale: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor | None], eps: float) -> Norm:
        """From running ``mean`` and ``var``, and ``weight`` and ``bias`` where there are any."""
        weight, bias, mean, var = (_double(tensors[n]) for n in ("weight", "bias", "mean", "var"))
        assert mean is not None
        assert var is not None
        scale = (var + eps).rsqrt() * (1.0 if weight is None else weight)
        return cls(scale, (0.0 if bias is None else bias) - mean * scale)


def _double(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.double()


def fold(
    nodes: list[Node], output: str, norms: Mapping[str, Norm], tensors: dict[str, torch.Tensor]
) -> tuple[list[Node], str]:
    """The nodes without normalizations, and the output's new name.

    Args:
        nodes: In an order in which they can run.
        output: The name of the network's output.
        norms: The nodes to be folded, by name.
        tensors: Changed weights and biases are put here, in float64.

    Raises:
        UnsupportedGraphError: A normalization does not follow a layer that nobody else reads.
    """
    readers = Counter([output, *(name for node in nodes for name in node.inputs)])
    users = Counter(name for node in nodes for name in (node.weight, node.bias) if name)
    kept: dict[str, Node] = {}
    now: dict[str, str] = {}
    for node in nodes:
        node = replace(node, inputs=tuple(now.get(name, name) for name in node.inputs))
        if node.name not in norms:
            kept[node.name] = node
            continue
        layer = kept.get(node.inputs[0])
        if layer is None or layer.weight is None or readers[layer.name] > 1:
            raise UnsupportedGraphError(
                f"the batch normalization '{node.name}' does not follow a convolution or linear "
                "layer whose result nobody else reads"
            )
        kept[layer.name] = _folded(layer, norms[node.name], tensors, users)
        now[node.name] = layer.name
        readers[layer.name] = readers[node.name]
    return list(kept.values()), now.get(output, output)


def _folded(layer: Node, norm: Norm, tensors: dict[str, torch.Tensor], users: Counter[str]) -> Node:
    assert layer.weight is not None
    weight = tensors[layer.weight].double()
    scaled = weight * norm.scale.view(-1, *[1] * (weight.dim() - 1)) + 0.0  # no -0.0
    shift = norm.shift
    if layer.bias is not None:
        shift = tensors[layer.bias].double() * norm.scale + shift
    beside = f"{layer.weight.removesuffix('.weight')}.bias"
    weight_name = _store(scaled, layer.weight, layer.weight, tensors, users)
    return replace(
        layer, weight=weight_name, bias=_store(shift, layer.bias, beside, tensors, users)
    )


def _store(
    tensor: torch.Tensor,
    old: str | None,
    wanted: str,
    tensors: dict[str, torch.Tensor],
    users: Counter[str],
) -> str:
    """Put a tensor in the place of an old one that nobody else needs, or in one of its own."""
    name = old if old is not None and users[old] == 1 else fresh(wanted, tensors)
    if old is not None:
        users[old] -= 1
    users[name] += 1
    tensors[name] = tensor
    return name
