"""C code computes what torch computes: every drawn network, in every layout, with any compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.c99.host import FLAGS
from pruneflow.deploy.c99.weights import LAYOUTS
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.settings import C99_VALUES
from tests.deploy.c99.code import COMPILERS, Case, Library, cases, compiled, require_right, write
from tests.deploy.networks import Network

QUICKLY, AS_SHIPPED = ("-O0",), FLAGS


def require_law(drawn: list[Case], compiler: str, *flags: str) -> None:
    """Right within what rounding allows, whatever is in the workspace, and always the same bits."""
    units = {f"n{i}": case.unit(f"n{i}") for i, case in enumerate(drawn)}
    library = Library(list(units.values()), compiler, *flags)
    for name, case in zip(units, drawn, strict=True):
        inputs = case.network.inputs(3)
        memory, other = library.memory(name), library.memory(name)
        outputs = library.run(name, inputs, memory)
        require_right(case, inputs, outputs)
        again = [library.run(name, x[None], where) for x in inputs for where in (memory, other)]
        assert torch.equal(torch.cat(again[::2]), outputs)
        assert torch.equal(torch.cat(again[1::2]), outputs)


@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=6)
@given(st.lists(cases(), min_size=1, max_size=12))
def test_it_is_the_same_network(compiler: str, drawn: list[Case]) -> None:
    require_law(drawn, compiler, *QUICKLY)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=40)
@given(st.lists(cases(8), min_size=6, max_size=12))
def test_it_is_the_same_network_for_hundreds(compiler: str, drawn: list[Case]) -> None:
    require_law(drawn, compiler, *AS_SHIPPED)


# -- chosen ones -----------------------------------------------------------------------------

SAME: dict[str, Any] = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
HALVES: dict[str, Any] = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": False}


def network(shape: tuple[int, ...], *nodes: Node, **weights: tuple[int, ...]) -> Network:
    """A network with random weights, half of them zero."""
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(size, generator=generator) for name, size in weights.items()}
    for tensor in tensors.values():
        tensor[torch.rand(tensor.shape, generator=generator) < 0.5] = 0.0
    return Network(Graph(shape, nodes, nodes[-1].name), tensors)


def conv(name: str, source: str, weight: str, bias: str | None = None, **options: Any) -> Node:
    """A convolution that keeps height and width."""
    return Node(name, "conv2d", (source,), weight, bias, SAME | options)


CHOSEN: dict[str, Network] = {
    "an activation of a flattened map": network(
        (2, 5, 5), conv("c", "input", "w"), Node("f", "flatten", ("c",)),
        Node("r", "relu", ("f",)), w=(3, 2, 3, 3),
    ),
    "a flattened map added to a vector": network(
        (2, 5, 5), Node("g", "flatten", ("input",)), Node("l", "linear", ("g",), "v"),
        conv("c", "input", "w"), Node("f", "flatten", ("c",)), Node("a", "add", ("l", "f")),
        v=(50, 50), w=(2, 2, 3, 3),
    ),
    "a residual of the input itself": network(
        (3, 4, 4), conv("c", "input", "w"), Node("a", "add", ("c", "input")),
        w=(3, 3, 3, 3),
    ),
    "a convolution added to what it reads": network(
        (3, 4, 4), conv("c", "input", "w"), conv("d", "c", "w"), Node("a", "add", ("d", "c")),
        conv("e", "a", "w"), w=(3, 3, 3, 3),
    ),
    "two shortcuts that cross": network(
        (2, 4, 6), conv("a", "input", "w"), conv("b", "a", "w", padding=[2, 2], dilation=[2, 2]),
        Node("c", "add", ("a", "b")), Node("d", "leaky_relu", ("c",), options={"slope": -0.5}),
        conv("e", "d", "w", "x"), Node("f", "add", ("c", "e")), Node("g", "relu6", ("f",)),
        w=(2, 2, 3, 3), x=(2,),
    ),
    "a pool that joins a sum in a frame": network(
        (2, 6, 6), conv("a", "input", "w"), conv("b", "a", "w"), Node("c", "add", ("a", "b")),
        Node("d", "relu", ("c",)),
        Node("e", "max_pool2d", ("d",), options={
            "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "ceil_mode": True,
            "dilation": [1, 1]}),
        conv("f", "e", "w", padding=[0, 1], stride=[2, 1]), w=(2, 2, 3, 3),
    ),
    "a sum of a layer that was activated before": network(
        (2, 4, 5), conv("a", "input", "w"), Node("b", "relu", ("a",)),
        Node("c", "add", ("b", "input")), conv("d", "c", "w"),
        Node("e", "leaky_relu", ("d",), options={"slope": 0.5}), Node("f", "add", ("c", "e")),
        w=(2, 2, 3, 3),
    ),
    "an activation that turns numbers round, and a pool": network(
        (2, 6, 6), conv("a", "input", "w"),
        Node("b", "leaky_relu", ("a",), options={"slope": -0.5}),
        Node("c", "max_pool2d", ("b",), options=HALVES | {"dilation": [1, 1]}),
        w=(2, 2, 3, 3),
    ),
    "an activation and a mean": network(
        (2, 6, 6), conv("a", "input", "w"), Node("b", "relu6", ("a",)),
        Node("c", "avg_pool2d", ("b",), options=HALVES | {"count_include_pad": True}),
        conv("d", "c", "w"), Node("e", "relu", ("d",)), Node("f", "global_avg_pool", ("e",)),
        w=(2, 2, 3, 3),
    ),
    "nothing but the input": network((2, 3), Node("f", "flatten", ("input",))),
    "inputs of two and of four dimensions": network(
        (2, 3, 2, 2), Node("r", "relu", ("input",)), Node("f", "flatten", ("r",)),
        Node("l", "linear", ("f",), "w"), Node("g", "flatten", ("l",)), w=(5, 24),
    ),
    "the input in a frame, as it is": network(
        (1, 3, 3), conv("c", "input", "w"), Node("a", "add", ("input", "c")),
        Node("b", "add", ("a", "input")), w=(1, 1, 3, 3),
    ),
    "one weight in two layers": network(
        (6,), Node("a", "linear", ("input",), "w"), Node("b", "linear", ("a",), "w"),
        Node("c", "softmax", ("b",)), w=(6, 6),
    ),
    "maps one pixel high": network(
        (2, 1, 40), conv("a", "input", "w"), conv("b", "a", "u", groups=2, stride=[1, 3]),
        Node("p", "global_avg_pool", ("b",)), w=(4, 2, 3, 3), u=(4, 2, 1, 5),
    ),
}  # fmt: skip


def test_networks_that_are_easily_got_wrong() -> None:
    drawn = [Case(one, layout, "fp32") for one in CHOSEN.values() for layout in LAYOUTS]
    require_law(drawn, "cc", *QUICKLY)


@pytest.mark.parametrize("values", C99_VALUES)
def test_numbers_at_the_ends_of_their_range(values: str) -> None:
    """The smallest and the largest numbers a codec has are written so that C reads them back."""
    ends = {
        "fp32": [1e-45, -1.1754944e-38, 3.4028235e38, -0.0, 1 / 3, 16777216.0],
        "fp16": [5.9604645e-08, -6.097555e-05, 65504.0, -0.0, 0.333251953125, 6.103515625e-05],
        "int8": [127e-3, -127e-3, 1e-3, -1e-3, 0.0, 64e-3],
    }[values]
    weight = torch.tensor(ends).diag() if values != "int8" else torch.tensor([ends])
    one = Network(Graph((6,), (Node("l", "linear", ("input",), "w"),), "l"), {"w": weight})
    drawn = [Case(one, layout, values) for layout in LAYOUTS]
    units = [case.unit(f"n{i}") for i, case in enumerate(drawn)]
    library = Library(units, "cc", *QUICKLY)
    for unit, case in zip(units, drawn, strict=True):
        inputs = torch.eye(6)
        outputs = library.run(unit.name, inputs)
        require_right(case, inputs, outputs)
        if values != "int8":
            assert torch.equal(outputs, weight + 0.0)


def test_a_scale_and_a_bias_are_among_what_is_rounded() -> None:
    """Of a single weight these are most of the roundings, and a million outputs show them all."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "w": torch.rand(3000, 1, generator=generator) + 0.5,
        "b": torch.randn(3000, generator=generator) / 20,
    }
    one = Network(Graph((1,), (Node("l", "linear", ("input",), "w", "b"),), "l"), tensors)
    case, inputs = Case(one, "csr16", "int8"), torch.randn(400, 1, generator=generator)
    require_right(case, inputs, Library([case.unit()]).run("net", inputs))


def test_shares_of_numbers_far_apart() -> None:
    """Exponentials of any number but the largest may vanish, and none is too large for a float."""
    one = Network(Graph((3,), (Node("s", "softmax", ("input",)),), "s"), {})
    inputs = torch.tensor([[1e3, 0.0, -1e3], [-3e38, 2e38, 2e38], [89.0, 88.0, 90.0]])
    require_right(Case(one), inputs, Library([Case(one).unit()]).run("net", inputs))


# -- what it is ------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not there")
def test_nothing_it_keeps_can_change() -> None:
    """Not one symbol lies in memory that is written to, and only the interface is seen outside."""
    folder = Path("one")
    unit = Case(CHOSEN["one weight in two layers"], "gaps8", "int8").unit("net")
    write(unit, folder)
    compiled("cc", folder, "-O1", "-c", "net.c", "-o", "net.o")
    told = subprocess.run(["nm", "net.o"], cwd=folder, capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in told.stdout.splitlines()]
    assert not [name for kind, name in symbols if kind in "bBdDcCsSgGuvVwW"]
    assert {name for kind, name in symbols if kind == "T"} == {"net_run", "net_classify"}
    taken = {name for kind, name in symbols if kind == "U"}
    assert taken <= {"expf", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "memset", "memcpy"}
    assert "expf" in taken


def test_the_class_is_the_first_of_the_largest_outputs() -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    one = Network(Graph((2,), (Node("l", "linear", ("input",), "w"),), "l"), {"w": weight})
    library = Library([Case(one).unit("n")])
    for x, expected in (([-1.0, -1.0], 0), ([2.0, 2.0], 1), ([2.0, 2.5], 2)):
        given = torch.tensor(x).numpy()
        found = library.handle.n_classify(library.memory("n").ctypes, given.ctypes)
        assert found == expected


# -- large maps ------------------------------------------------------------------------------

SIDES = [(1, 70), (5, 64), (9, 29), (20, 24), (17, 8), (8, 8), (13, 7), (3, 150)]
"""Rows and columns that are taken apart into blocks of every kind."""


def large(height: int, width: int) -> Network:
    """Convolutions whose rows lie as their inputs' do, and others, and one added in place."""
    return network(
        (2, height, width), conv("a", "input", "w", "x"), conv("b", "a", "w"),
        Node("c", "add", ("a", "b")), Node("d", "relu", ("c",)),
        conv("e", "d", "v", padding=[0, 0]), conv("f", "e", "v", padding=[0, 0]),
        w=(2, 2, 3, 3), x=(2,), v=(2, 2, 1, 1),
    )  # fmt: skip


@pytest.mark.parametrize("machine", ["any", "native"])
@pytest.mark.parametrize("values", ["fp32", "int8"])
def test_large_maps_are_right_whatever_the_registers(values: str, machine: str) -> None:
    wide = () if machine == "any" else ("-march=native",)
    drawn = [Case(large(*sides), layout, values) for sides in SIDES for layout in LAYOUTS]
    require_law(drawn, "cc", "-O1", *wide)


def test_wide_registers_have_code_of_their_own() -> None:
    case = Case(large(20, 24))
    write(case.unit(), Path())
    text = Path("net.c").read_text()
    assert text.count("#if defined(__AVX__)") == text.count("#endif") == 4
    assert "conv_csr16_fp32_4x16" in text
