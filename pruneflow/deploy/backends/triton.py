"""Layers by our Triton kernels, one backend for each way to pack a weight; the rest is dense torch.

An activation that follows a layer is part of its kernel; a 1x1 convolution is a matrix product
over all positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import ClassVar, Literal

import torch

from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.backends.by_layer import ByLayer
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.kernels.nodes import activation_after, activation_of, is_whole, window_of
from pruneflow.deploy.place import Device
from pruneflow.errors import DeployError

KERNELS_OF: Mapping[str, Mapping[str, str]] = {
    "triton_sell": {"linear": "sell"},
    "triton_bsr": {"linear": "bsr", "conv2d": "bsr_conv"},
    "triton_nm": {"linear": "nm"},
    "triton_bitmask": {"linear": "bitmask"},
}
"""By backend: the kernel of linear layers and 1x1 convolutions, and that of other convolutions."""

INSTALL = "Triton is missing: pip install triton"


class TritonBackend(Backend):
    """What needs Triton and a GPU."""

    kind: ClassVar[Literal["dense", "sparse"]] = "sparse"
    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    captures: ClassVar[bool] = True

    def version(self) -> str:
        """See base class."""
        import triton

        return f"triton {triton.__version__}"

    def missing(self) -> str | None:
        """See base class."""
        return None if find_spec("triton") else INSTALL


class TritonLayers(TritonBackend):
    """Every layer that its kernels can hold.

    Args:
        kernels: See ``KERNELS_OF``.
    """

    def __init__(self, kernels: Mapping[str, str]) -> None:
        self._kernels = kernels

    def refuses(self, graph: Graph) -> str | None:
        """See base class."""
        if any(node.op == "linear" or is_whole(node) for node in graph.nodes):
            return None
        return "its kernels run linear layers and convolutions without groups, and there is none"

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        runs: dict[str, Run] = {}
        refusals = []
        for node in graph.nodes:
            if node.weight is None:
                continue
            follower = activation_after(graph, node)
            try:
                runs[node.name] = self._layer(node, tensors, follower)
            except DeployError as error:
                refusals.append(f"{node.name}: {error}")
                continue
            if follower is not None:
                runs[follower.name] = _as_it_is
        if not runs:
            raise DeployError(f"its kernels can hold no weight: {refusals[0]}")
        return ByLayer(graph, tensors, runs).eval()

    def _layer(self, node: Node, tensors: Tensors, follower: Node | None) -> Run:
        """A layer ready to run.

        Raises:
            DeployError: There is no kernel for it.
        """
        from pruneflow.deploy.kernels.layers import Pointwise, packed_layer

        assert node.weight is not None
        weight = tensors[node.weight].detach()
        bias = None if node.bias is None else tensors[node.bias].detach()
        activation = activation_of(follower)
        if node.op == "linear":
            return packed_layer(self._kernels["linear"], weight, bias, activation)
        if not is_whole(node):
            raise DeployError("convolutions with groups have no kernel")
        window = window_of(node)
        if weight.shape[2:] == (1, 1) and window.padding == (0, 0):
            product = packed_layer(self._kernels["linear"], weight[:, :, 0, 0], bias, activation)
            return Pointwise(product, window.stride)
        if "conv2d" not in self._kernels:
            raise DeployError("of convolutions it runs those of 1x1 only")
        return packed_layer(self._kernels["conv2d"], weight, bias, activation, window)


def _as_it_is(x: torch.Tensor) -> torch.Tensor:
    return x


for name, kernels in KERNELS_OF.items():
    BACKENDS.register(name)(TritonLayers(kernels))
