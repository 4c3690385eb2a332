"""ONNX Runtime on the dense graph."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import torch

from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.graphs import onnx_model
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.inputs import require


class OnnxRuntime(Backend):
    """The fastest dense engine on many CPUs."""

    kind: ClassVar[Literal["dense", "sparse"]] = "dense"

    def version(self) -> str:
        """See base class."""
        return version("onnxruntime")

    def missing(self) -> str | None:
        """See base class."""
        if find_spec("onnxruntime") and find_spec("onnx"):
            return None
        return "not installed: pip install 'pruneflow[deploy]'"

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            onnx_model.build(graph, tensors), options, providers=["CPUExecutionProvider"]
        )
        return _Session(session, graph.input_shape)


class _Session:
    """One call of a session, with torch tensors."""

    def __init__(self, session: Any, input_shape: Shape) -> None:
        self._run, self._input_shape = session.run, input_shape
        self._input = session.get_inputs()[0].name
        self._outputs = [session.get_outputs()[0].name]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        try:
            outputs = self._run(self._outputs, {self._input: x.detach().numpy()})
        except Exception:  # whose fault it is costs time to find out
            require(x, self._input_shape)
            raise
        return torch.from_numpy(outputs[0])


BACKENDS.register("onnxruntime")(OnnxRuntime())
