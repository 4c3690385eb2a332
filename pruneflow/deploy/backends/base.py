"""What a backend is: a way to run a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.place import Device
from pruneflow.registry import Registry

Run = Callable[[torch.Tensor], torch.Tensor]
"""Outputs (n, ...) of inputs (n, ...)."""

Tensors = Mapping[str, torch.Tensor]


class Backend(ABC):
    """A way to run graphs; a layer by itself is a graph too.

    Attributes:
        kind: Whether it multiplies by zeros as well.
        takes_layers: Whether it is worth asking for single layers.
        devices: What it runs on.
        captures: Whether its calls on a GPU are captured in a CUDA graph.
    """

    kind: ClassVar[Literal["dense", "sparse"]]
    takes_layers: ClassVar[bool] = True
    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    captures: ClassVar[bool] = False

    @abstractmethod
    def version(self) -> str:
        """The version of whatever does the work."""

    def missing(self) -> str | None:
        """Why it cannot run on this machine, and what to do about it; None if it can."""
        return None

    def refuses(self, graph: Graph) -> str | None:
        """Why it cannot run a graph; None if it can."""
        return None

    @abstractmethod
    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """Make ready to run a graph.

        Args:
            graph: One it does not refuse.
            tensors: Its weights and biases, on the device and of the dtype it is to run in.
            threads: How many threads may be used.
        """

    def build_module(self, module: nn.Module, threads: int) -> Run | None:
        """Make ready to run a module that is no graph; None where that cannot be."""
        return None


BACKENDS: Registry[Backend] = Registry("backend", "pruneflow.backends")
