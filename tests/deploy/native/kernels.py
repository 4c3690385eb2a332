"""The C kernels as tests want them: built in other ways, with scratch memory full of rubbish."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import strategies as st

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Value
from pruneflow.deploy.measure.rounding import bounded
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.native import library
from pruneflow.deploy.native.abi import Variant
from pruneflow.deploy.native.program import NativeProgram
from tests.deploy.networks import Network

COMPILER = next(filter(None, map(shutil.which, library.COMPILERS)), None)
IS_X86 = platform.machine() in ("x86_64", "AMD64")
PROGRAM = library.SOURCES / "program.c"
BUILDS = {
    "native": (),
    "avx2": ("-mno-avx512f", "-mavx2", "-mfma"),
    "sse": ("-march=x86-64",),
}
"""What else the kernels are compiled for: vectors of 16 where there are such, of 8, and of 4."""

LANES = {"avx2": 8, "sse": 4}

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def compile_c(*words: str | Path) -> str:
    """Call the compiler; what it says is empty where it has no complaint."""
    assert COMPILER is not None
    command = [COMPILER, "-std=gnu11", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def built(name: str, folder: Path) -> library.Library:
    """The kernels, compiled in one of the ways of ``BUILDS``."""
    if name == "native":
        return library.library()
    if not IS_X86:
        pytest.skip("these are x86 processors")
    path = folder / f"{name}.so"
    flags = (*BUILDS[name], "-fopenmp")
    compile_c(*library.FLAGS, *flags, "-o", path, PROGRAM, "-lm")
    found = library.Library(library._declared(ctypes.CDLL(str(path))), "test", flags)
    assert found.handle.pf_lanes() == LANES[name]
    return found


@contextmanager
def using(kernels: library.Library) -> Iterator[None]:
    """Context: programs are made with these kernels."""
    with (
        mock.patch("pruneflow.deploy.native.program.library", return_value=kernels),
        mock.patch("pruneflow.deploy.native.layers.library", return_value=kernels),
    ):
        yield


def fill_scratch(run: NativeProgram, word: int) -> None:
    """Fill the memory a program works in; 0xFF is NaN everywhere."""
    prepared = run._latest.state[3]
    assert prepared is not None
    for raw in prepared.arena._kept:
        raw[:] = word


def assert_right(run: object, network: Network, x: torch.Tensor) -> torch.Tensor:
    """The outputs, which lie within what float32 accounts for."""
    assert callable(run)
    y: torch.Tensor = run(x)
    with using_threads(1):
        right = bounded(network.graph, network.tensors, x.detach())
    assert y.shape == right.value.shape
    assert y.dtype == torch.float32
    outside = (y.detach().double() - right.value).abs() > right.certain
    assert not outside.any(), f"{network.graph}: {int(outside.sum())} of {outside.numel()} wrong"
    assert torch.isfinite(y).all()
    return y.detach()


def force(run: NativeProgram, variant: Variant) -> None:
    """Multiply single vectors in another way, for which everything is there."""
    for op in run._ops:
        op.variant = variant


# -- networks that fill vectors ------------------------------------------------------------


def sparse_matrix(rows: int, columns: int, density: float, seed: int) -> torch.Tensor:
    """Normal weights, some rows empty and some full where there are several."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator) / columns**0.5
    keep = torch.rand(rows, columns, generator=generator) < density
    if rows > 2:
        keep[0], keep[-1] = False, density > 0
    return torch.where(keep, weight, 0.0)


def linear(weight: torch.Tensor, bias: bool = True, op: str | None = "relu") -> Network:
    """One linear layer and perhaps an activation."""
    tensors = {"fc.weight": weight}
    if bias:
        tensors["fc.bias"] = torch.linspace(-1, 1, len(weight))
    nodes = [Node("fc", "linear", (INPUT,), "fc.weight", "fc.bias" if bias else None)]
    if op is not None:
        nodes.append(Node("act", op, ("fc",)))
    return Network(Graph((weight.shape[1],), tuple(nodes), nodes[-1].name), tensors)


@st.composite
def wide_layers(draw: st.DrawFn) -> Network:
    """Linear layers of several panels and windows."""
    rows, columns = draw(st.integers(1, 70)), draw(st.integers(1, 300))
    density = draw(st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.6, 1.0]))
    weight = sparse_matrix(rows, columns, density, draw(st.integers(0, 2**31)))
    return linear(weight, draw(st.booleans()), draw(st.sampled_from(["relu", "relu6", None])))


@st.composite
def large_convolutions(draw: st.DrawFn) -> Network:
    """Over maps of up to 23 x 23, up to eight vectors of pixels; perhaps with layers behind."""
    height, width, groups = (draw(st.integers(1, most)) for most in (23, 23, 3))
    channels, out = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 5))
    kernel = [draw(st.integers(1, 5)) for _ in range(2)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    dilation = [draw(st.integers(1, 3)) for _ in range(2)]
    reach = [gap * (side - 1) for gap, side in zip(dilation, kernel, strict=True)]
    least = [-(-max(0, r + 1 - side) // 2) for r, side in zip(reach, (height, width), strict=True)]
    padding = [pad + draw(st.integers(0, 3)) for pad in least]
    options: dict[str, Value] = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
    }  # fmt: skip
    density, seed = draw(st.sampled_from([0.05, 0.3, 1.0])), draw(st.integers(0, 2**31))
    columns = channels // groups * kernel[0] * kernel[1]
    weight = sparse_matrix(out, columns, density, seed).reshape(out, -1, *kernel)
    tensors = {"conv.weight": weight, "conv.bias": torch.linspace(-1, 1, out)}
    pool = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    nodes = [
        Node("conv", "conv2d", (INPUT,), "conv.weight", "conv.bias", options),
        Node("act", "leaky_relu", ("conv",), options={"slope": 0.1}),
        Node("pool", "max_pool2d", ("act",), options={**pool, "ceil_mode": True}),
        Node("flat", "flatten", ("pool",)),
        Node("fc", "linear", ("flat",), "fc.weight"),
    ][: draw(st.sampled_from([1, 2, 3, 5, 5]))]
    shape = (channels, height, width)
    if nodes[-1].name == "fc":
        before = Graph(shape, tuple(nodes[:-1]), "flat")
        sizes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        tensors["fc.weight"] = sparse_matrix(20, *before.shapes(sizes)["flat"], 0.3, seed)
    return Network(Graph(shape, tuple(nodes), nodes[-1].name), tensors)


@st.composite
def pools(draw: st.DrawFn) -> Network:
    """One pool of any kind over maps of up to 9 x 9."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    kernel = [draw(st.integers(1, min(4, side))) for side in shape[1:]]
    options: dict[str, Value] = {
        "kernel": kernel,
        "stride": [draw(st.integers(1, 4)) for _ in range(2)],
        "padding": [draw(st.integers(0, side // 2)) for side in kernel],
        "ceil_mode": draw(st.booleans()),
    }
    if draw(st.booleans()):
        node = Node("pool", "max_pool2d", (INPUT,), options={**options, "dilation": [1, 1]})
    else:
        counts: dict[str, Value] = {"count_include_pad": draw(st.booleans())}
        node = Node("pool", "avg_pool2d", (INPUT,), options={**options, **counts})
    return Network(Graph(shape, (node,), "pool"), {})


@st.composite
def meshes(draw: st.DrawFn) -> Network:
    """Layers, activations and sums that read any earlier results, on maps or on features."""
    shape = draw(st.sampled_from([(7,), (3, 2, 5)]))
    op, tail = ("linear", ()) if len(shape) == 1 else ("conv2d", (1, 1))
    ones: dict[str, Value] = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    nodes: list[Node] = []
    tensors: dict[str, torch.Tensor] = {}
    unread: list[str] = []

    def append(kind: str, *inputs: str) -> None:
        name, options = f"n{len(nodes)}", {"slope": -0.5} if kind == "leaky_relu" else {}
        weight = None
        if kind == op:
            weight, options = f"{name}.weight", ones if tail else {}
            matrix = sparse_matrix(shape[0], shape[0], 0.5, seed=len(nodes))
            tensors[weight] = matrix.reshape(shape[0], shape[0], *tail)
        nodes.append(Node(name, kind, inputs, weight, options=options))
        unread[:] = [each for each in unread if each not in inputs] + [name]

    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from([op, "relu", "relu6", "leaky_relu", "add"]))
        known = st.sampled_from([INPUT, *(node.name for node in nodes)][-3:])
        append(kind, *(draw(known) for _ in range(1 + (kind == "add"))))
    while len(unread) > 1:
        append("add", *unread[:2])
    return Network(Graph(shape, tuple(nodes), nodes[-1].name), tensors)
