"""What the nodes of a graph ask of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.graphs.ops import ACTIVATIONS
from pruneflow.deploy.kernels.base import Activation, Window


def activation_after(graph: Graph, node: Node) -> Node | None:
    """The activation that alone reads a node's result, if one does."""
    readers = graph.consumers(node.name)
    alone = len(readers) == 1 and readers[0].op in ACTIVATIONS
    return readers[0] if alone else None


def activation_of(node: Node | None) -> Activation:
    """What an activation node does; None does nothing."""
    if node is None:
        return Activation()
    return Activation(node.op, float(cast(float, node.options.get("slope", 0.0))))


def window_of(node: Node) -> Window:
    """How a convolution's kernel moves."""
    options = cast(Mapping[str, list[int]], node.options)
    pairs = [(options[key][0], options[key][1]) for key in ("stride", "padding", "dilation")]
    return Window(*pairs)


def is_whole(node: Node) -> bool:
    """Whether it is a convolution in which every output sees every channel."""
    return node.op == "conv2d" and node.options["groups"] == 1
