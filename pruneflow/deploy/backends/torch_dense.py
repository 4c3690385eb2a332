"""Dense torch: eager, and compiled by Inductor with and without frozen weights."""

from __future__ import annotations

import warnings
from types import FunctionType
from typing import ClassVar, Literal

import torch
from torch import nn

from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.place import Device


class Eager(Backend):
    """Torch's own kernels, one after the other."""

    kind: ClassVar[Literal["dense", "sparse"]] = "dense"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def version(self) -> str:
        """See base class."""
        return torch.__version__

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        return GraphModule(graph, tensors).eval()

    def build_module(self, module: nn.Module, threads: int) -> Run | None:
        """See base class."""
        return module


class Graphed(Eager):
    """The same kernels, launched at once as a CUDA graph."""

    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    captures: ClassVar[bool] = True


class Compiled(Eager):
    """``torch.compile``, once for each shape of inputs; it takes seconds."""

    takes_layers = False
    mode: ClassVar[str | None] = None
    freezes: ClassVar[bool] = False

    def missing(self) -> str | None:
        """See base class."""
        from torch._inductor import cpp_builder, exc

        try:
            cpp_builder.get_cpp_compiler()
        except exc.InvalidCxxCompiler:
            return "torch.compile needs a C++ compiler: install g++"
        return None

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        return _Compiled(GraphModule(graph, tensors).eval(), self.freezes, self.mode)

    def build_module(self, module: nn.Module, threads: int) -> Run | None:
        """See base class."""
        return _Compiled(module, self.freezes, self.mode)


class Frozen(Compiled):
    """The same with weights as constants, laid out beforehand as the kernels want them."""

    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    freezes: ClassVar[bool] = True


class Tuned(Compiled):
    """The same with kernels chosen by timing them, and captured in a CUDA graph."""

    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    captures: ClassVar[bool] = True
    mode: ClassVar[str | None] = "max-autotune-no-cudagraphs"  # captured here, as the others are


class _Compiled:
    """A module compiled for each size of batch, in and out of inference mode, by itself.

    ``torch.compile`` counts the compilations of a function, whatever it was called with and by
    whom, and after eight of them runs it eagerly from then on.
    """

    def __init__(self, module: nn.Module, freezes: bool, mode: str | None) -> None:
        self._module, self._freezes, self._mode = module, freezes, mode
        self._runs: dict[tuple[int, bool, bool], Run] = {}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        run = self._runs.get(_kind(x))
        with torch.no_grad():  # Inductor freezes weights only where nobody asks for gradients
            return self._first_call(x) if run is None else run(x)

    def _first_call(self, x: torch.Tensor) -> torch.Tensor:
        from torch._inductor import config

        with warnings.catch_warnings(), config.patch(freezing=self._freezes):
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of torch
            warnings.filterwarnings("ignore", message="TensorFloat32")  # off on purpose
            run = torch.compile(_function(self._module), dynamic=False, mode=self._mode)
            y = run(x)
        self._runs[_kind(x)] = run
        return y


def _kind(x: torch.Tensor) -> tuple[int, bool, bool]:
    """What Dynamo would compile anew for, and then without freezing."""
    return x.shape[0], x.is_inference(), torch.is_inference_mode_enabled()


def _function(module: nn.Module) -> Run:
    """A function of its own that calls a module."""

    def call(x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = module(x)
        return y

    return FunctionType(call.__code__.replace(), call.__globals__, closure=call.__closure__)


BACKENDS.register("torch")(Eager())
BACKENDS.register("torch_graph")(Graphed())
BACKENDS.register("torch_compile")(Compiled())
BACKENDS.register("torch_compile_max")(Tuned())
BACKENDS.register("torch_compile_frozen")(Frozen())
