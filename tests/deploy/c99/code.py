"""Networks as C for tests: written, compiled by whichever compiler, and run here."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import strategies as st

from pruneflow.deploy.bundles.packing import Packed, pack, unpack
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.c99.choosing import unit_of
from pruneflow.deploy.c99.code import code_of
from pruneflow.deploy.c99.host import STRICT
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.weights import LAYOUTS
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Shape, Value
from pruneflow.deploy.measure.gate import Reference, reference
from pruneflow.deploy.network import of_graph
from pruneflow.deploy.settings import C99_VALUES
from tests.deploy.networks import Network, networks

Floats = npt.NDArray[np.float32]

COMPILERS = [
    pytest.param(
        name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not there")
    )
    for name in ("gcc", "clang")
]
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Case:
    """A network, and how its weights are stored."""

    network: Network
    layout: str = "csr16"
    values: str = "fp32"

    @property
    def packed(self) -> dict[str, Packed]:
        """Its weights as a bundle has them."""
        assert self.values in CODECS
        weights = {node.weight for node in self.network.graph.nodes if node.weight}
        tensors = self.network.tensors
        return {name: pack(name, tensors[name], None, "dense", self.values) for name in weights}

    def unit(self, name: str = "net") -> Unit:
        """The network as a unit of C."""
        network = of_graph(self.network.graph, self.network.tensors)
        return unit_of(name, network, self.packed, "latency", self.layout)

    def right(self, inputs: torch.Tensor) -> Reference:
        """What has to come out, with the weights as they are stored."""
        stored = {name: unpack(packed) for name, packed in self.packed.items()}
        graph, tensors = self.network.graph, self.network.tensors
        return reference(of_graph(graph, {**tensors, **stored}), inputs)


def cases(most_nodes: int = 6) -> st.SearchStrategy[Case]:
    """Drawn networks in every layout, with values of every kind."""
    drawn = networks(most_nodes) | tangles()
    return st.builds(Case, drawn, st.sampled_from(LAYOUTS), st.sampled_from(C99_VALUES))


@st.composite
def tangles(draw: st.DrawFn) -> Network:
    """Maps of one shape and their flattened twins, whose results are read again and again."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 18)))
    size, seed = prod(shape), draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    maps, flat, nodes, tensors = [INPUT], [], [], {}  # type: ignore[var-annotated]

    def append(op: str, *inputs: str, weight: Shape | None = None, **options: Value) -> str:
        name = f"n{len(nodes)}"
        if weight is not None:
            drawn = torch.randn(weight, generator=generator) / prod(weight[1:]) ** 0.5
            tensors[name] = drawn * (torch.rand(weight, generator=generator) < 0.4)
        held = None if weight is None else name
        nodes.append(Node(name, op, inputs, held, options=options))
        return name

    def one_of(names: list[str]) -> str:
        return draw(st.sampled_from(names[-3:]))

    for _ in range(draw(st.integers(1, 8))):
        alike = maps if not flat or draw(st.booleans()) else flat
        kind = draw(st.sampled_from(["layer", "layer", "pool", "flatten", "relu", "leaky", "add"]))
        if kind == "flatten" and alike is maps:
            flat.append(append("flatten", one_of(maps)))
        elif kind == "relu":
            alike.append(append("relu", one_of(alike)))
        elif kind == "leaky":
            alike.append(
                append("leaky_relu", one_of(alike), slope=draw(st.sampled_from([0.1, -2])))
            )
        elif kind == "add":
            alike.append(append("add", one_of(alike), one_of(alike)))
        elif alike is flat:
            flat.append(append("linear", one_of(flat), weight=(size, size)))
        elif kind == "pool":
            window: dict[str, Any] = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1]}
            window |= {"ceil_mode": False, "count_include_pad": draw(st.booleans())}
            maps.append(append("avg_pool2d", one_of(maps), **window))
        else:
            reach = draw(st.integers(0, 2))
            groups = draw(st.sampled_from([1, shape[0]]))
            same: dict[str, Any] = {"stride": [1, 1], "padding": [reach, reach]}
            same |= {"dilation": [max(reach, 1)] * 2, "groups": groups}
            kernel = (3, 3) if reach else (1, 1)
            weight = (shape[0], shape[0] // groups, *kernel)
            maps.append(append("conv2d", one_of(maps), weight=weight, **same))
    read = {name for node in nodes for name in node.inputs}
    open_maps = [name for name in maps if name not in read and name != INPUT]
    ends = [name for name in flat if name not in read]
    if ends:
        ends += [append("flatten", name) for name in open_maps]
    ends = ends or open_maps
    while len(ends) > 1:
        ends = [*ends[2:], append("add", *ends[:2])]
    return Network(Graph(shape, tuple(nodes), nodes[-1].name), tensors)


class Library:
    """Networks that were compiled together, by name."""

    def __init__(self, units: Sequence[Unit], compiler: str = "cc", *flags: str) -> None:
        self.units = {unit.name: unit for unit in units}
        folder = Path("library")
        shutil.rmtree(folder, ignore_errors=True)
        for unit in units:
            write(unit, folder)
        sources = [f"{name}.c" for name in self.units]
        compiled(compiler, folder, *(flags or ("-O0",)), "-shared", "-fPIC", *sources,
                 "-o", "all.so", "-lm")  # fmt: skip
        path = (folder / "all.so").absolute()
        fresh = path.with_name(f"{path.stat().st_ino}-{path.stat().st_mtime_ns}.so")
        path.rename(fresh)  # a library of the same name would not be loaded again
        self.handle = ctypes.CDLL(str(fresh))

    def memory(self, name: str) -> Floats:
        """A workspace that is full of NaN."""
        return np.full(max(self.units[name].memory.size, 1), np.nan, np.float32)

    def run(self, name: str, inputs: torch.Tensor, memory: Floats | None = None) -> torch.Tensor:
        """Outputs (n, outputs) of inputs (n, ...), one after the other in one workspace."""
        memory = self.memory(name) if memory is None else memory
        given = np.ascontiguousarray(inputs.reshape(len(inputs), -1).numpy())
        found = np.full((len(given), self.units[name].outputs), np.nan, np.float32)
        function = self.handle[f"{name}_run"]
        function.restype = None
        for x, y in zip(given, found, strict=True):
            function(*(part.ctypes.data_as(ctypes.c_void_p) for part in (memory, x, y)))
        return torch.from_numpy(found)


def write(unit: Unit, folder: Path) -> None:
    """A network's code in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in code_of(unit).items():
        (folder / file).write_text(text, encoding="ascii")


def compiled(compiler: str, folder: Path, *words: str) -> None:
    """Run a compiler, as strict as it gets, in a folder; fail with what it says."""
    done = subprocess.run(
        [compiler, *STRICT, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def require_right(case: Case, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
    """Fail unless outputs are what rounding allows."""
    right = case.right(inputs)
    verdict = right.judge(lambda x: outputs.reshape(right.outputs.shape), len(inputs))
    assert verdict.passed, (verdict, case)
