"""Torch's own sparse matrices on a GPU: blocks, and two of four with sparse tensor cores."""

from __future__ import annotations

import warnings
from typing import ClassVar

import torch
from torch.nn import functional as F

from pruneflow.deploy.backends.base import BACKENDS, Run, Tensors
from pruneflow.deploy.backends.by_layer import ByLayer
from pruneflow.deploy.backends.torch_csr import TorchCsr
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.place import Device
from pruneflow.errors import DeployError

BLOCKS = (64, 32, 16)

NARROWEST = 16
"""Tiles of torch's kernel for blocks have so many samples; for other batches it has a slow one."""


class TorchBsr(TorchCsr):
    """``torch.sparse_bsr_tensor``: the largest blocks that divide a weight; linear layers only."""

    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    captures: ClassVar[bool] = True

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        runs: dict[str, Run] = {}
        for node in graph.nodes:
            if node.op == "linear":
                assert node.weight is not None
                weight = tensors[node.weight].detach()
                bias = None if node.bias is None else tensors[node.bias].detach()
                if (packed := self.packed(weight)) is not None:
                    runs[node.name] = SparseLinear(packed, bias)
        if not runs:
            raise DeployError(f"no layer can be laid out so: {self.wants}")
        return ByLayer(graph, tensors, runs).eval()

    wants: ClassVar[str] = "its sides have to be multiples of 16"

    def packed(self, weight: torch.Tensor) -> torch.Tensor | None:
        """A weight (out, in) as torch's sparse tensor; None where that cannot be."""
        for side in BLOCKS:
            if all(length % side == 0 for length in weight.shape):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Sparse BSR tensor support")
                    return weight.to_sparse_bsr((side, side))
        return None


class TorchSemiStructured(TorchBsr):
    """``torch.sparse.to_sparse_semi_structured``, by cuSPARSELt or CUTLASS."""

    wants: ClassVar[str] = (
        "of every four weights two may be left, in 16 bits, and sides have to be multiples of 64"
    )

    def packed(self, weight: torch.Tensor) -> torch.Tensor | None:
        """See base class."""
        if any(length % 64 for length in weight.shape) or weight.dtype is torch.float32:
            return None
        if bool(((weight.reshape(-1, 4) != 0).sum(1) > 2).any()):
            return None
        from torch.sparse import to_sparse_semi_structured

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The PyTorch API of SparseSemiStructured")
            sparse: torch.Tensor = to_sparse_semi_structured(weight)
        return sparse


class SparseLinear:
    """A linear layer by one of torch's sparse tensors."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, out) of inputs (n, in)."""
        if rest := -len(x) % NARROWEST:
            return F.linear(F.pad(x, (0, 0, 0, rest)), self._weight, self._bias)[: len(x)]
        return F.linear(x, self._weight, self._bias)


BACKENDS.register("torch_bsr")(TorchBsr())
BACKENDS.register("torch_2_4")(TorchSemiStructured())
