"""Torch's own sparse matrices: linear layers as CSR, everything else dense."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch

from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.backends.by_layer import ByLayer
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.place import Device


class TorchCsr(Backend):
    """``torch.sparse_csr_tensor`` times activations."""

    kind: ClassVar[Literal["dense", "sparse"]] = "sparse"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def version(self) -> str:
        """See base class."""
        return torch.__version__

    def refuses(self, graph: Graph) -> str | None:
        """See base class."""
        if any(node.op == "linear" for node in graph.nodes):
            return None
        return "torch multiplies by sparse matrices in linear layers only, and there is none"

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        runs = {node.name: CsrLinear(node, tensors) for node in graph.nodes if node.op == "linear"}
        return ByLayer(graph, tensors, runs)


class CsrLinear:
    """A linear layer by torch's sparse matrix product; the weight goes left."""

    def __init__(self, node: Node, tensors: Tensors) -> None:
        assert node.weight is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self.weight = tensors[node.weight].detach().to_sparse_csr()
        none = tensors[node.weight].new_zeros(len(self.weight))
        self.bias = none if node.bias is None else tensors[node.bias].detach()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, out) of inputs (n, in)."""
        return (self.weight @ x.t()).t() + self.bias


BACKENDS.register("torch_csr")(TorchCsr())
