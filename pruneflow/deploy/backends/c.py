"""C kernels, compiled for the processor at hand: the whole network in one call, zeros skipped."""

from __future__ import annotations

from typing import ClassVar, Literal

from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.native import library
from pruneflow.deploy.native.program import NativeProgram


class C(Backend):
    """See ``pruneflow/deploy/native``."""

    kind: ClassVar[Literal["dense", "sparse"]] = "sparse"

    def version(self) -> str:
        """See base class."""
        return library.library().compiler

    def missing(self) -> str | None:
        """See base class."""
        return library.missing()

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        return NativeProgram(graph, tensors)


BACKENDS.register("c")(C())
