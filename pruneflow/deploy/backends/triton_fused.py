"""A small network in one launch of a Triton kernel, its weights sparse."""

from __future__ import annotations

from typing import ClassVar

from pruneflow.deploy.backends.base import BACKENDS, Run, Tensors
from pruneflow.deploy.backends.triton import TritonBackend
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.errors import DeployError


class TritonFused(TritonBackend):
    """See ``pruneflow/deploy/kernels/fused``."""

    takes_layers: ClassVar[bool] = False

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        from pruneflow.deploy.kernels.fused.network import FusedNetwork, why_not

        if why := why_not(graph, tensors):
            raise DeployError(why)
        return FusedNetwork(graph, tensors)


BACKENDS.register("triton_fused")(TritonFused())
