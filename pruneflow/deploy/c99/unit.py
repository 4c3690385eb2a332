"""A network as one unit of C: its passes, its memory, its weights, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pruneflow.deploy.c99.identifiers import identifiers
from pruneflow.deploy.c99.memory import Memory, memory_of
from pruneflow.deploy.c99.program import Program
from pruneflow.deploy.c99.weights import Stored
from pruneflow.deploy.graphs.graph import INPUT
from pruneflow.deploy.graphs.ops import Shape

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Unit:
    """What is written as C.

    Attributes:
        name: What everything it exports begins with.
        program: What is computed.
        weights: Of every layer, by the name of its node.
        shapes: Of their weights in torch, likewise.
        biases: Of the layers that have one.
    """

    name: str
    program: Program
    weights: Mapping[str, Stored]
    shapes: Mapping[str, Shape]
    biases: Mapping[str, Floats]

    number: ClassVar[str] = "float"
    """What its workspace holds."""
    number_bytes: ClassVar[int] = 4
    activations: ClassVar[str] = "fp32"
    """What its results are."""

    @cached_property
    def memory(self) -> Memory:
        """Where results lie."""
        return memory_of(self.program)

    @property
    def workspace_bytes(self) -> int:
        """Of the workspace's type, which holds a number at least."""
        return self.number_bytes * max(self.memory.size, 1)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What its nodes are called in C."""
        return {node: f"{self.name}_{label}" for node, label in self.plain.items()}

    @cached_property
    def plain(self) -> dict[str, str]:
        """The same without the network's name."""
        passes = (one.node.name for one in self.program.passes)
        nodes = (node.name for node in self.program.graph.nodes)
        return identifiers(dict.fromkeys((*passes, *nodes)))

    @property
    def inputs(self) -> int:
        """Numbers of an input."""
        return prod(self.program.layouts[INPUT].shape)

    @property
    def outputs(self) -> int:
        """Numbers of an output."""
        return prod(self.program.layouts[self.program.output].shape)

    @property
    def classifies(self) -> bool:
        """Whether its output can be scores of classes."""
        shape = self.program.layouts[self.program.graph.output].shape
        return len(shape) == 1 and shape[0] > 1

    @property
    def count(self) -> np.dtype[np.generic]:
        """The type that holds the number of weights of every row."""
        kinds = [one.counts.dtype for one in self.weights.values() if one.counts is not None]
        return max(kinds, key=lambda kind: kind.itemsize, default=np.dtype(np.uint8))

    @property
    def uses_expf(self) -> bool:
        """Whether it needs a function of libm."""
        return any(node.op == "softmax" for node in self.program.graph.nodes)

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of all constants but structures: values, index, scales, bias."""
        found = {"values": 0, "index": 0, "scales": 0, "bias": 0}
        for name in self.weights:
            for kind, size in self.bytes_of(name).items():
                found[kind] += size
        return found

    def bytes_of(self, name: str) -> dict[str, int]:
        """The same of one layer, by the name of its node."""
        weight = self.weights[name]
        rows = len(weight.coded.codes)
        index = 0 if weight.index is None else weight.index.nbytes + rows * self.count.itemsize
        scales = 0 if weight.coded.scales is None else weight.coded.scales.nbytes
        bias = self.biases[name].nbytes if name in self.biases else 0
        return {"values": weight.entries.nbytes, "index": index, "scales": scales, "bias": bias}
