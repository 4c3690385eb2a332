"""Names and texts that may be anybody's: C takes them all, and they reach nowhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pruneflow.deploy.c99.boards.building import Source
from pruneflow.deploy.c99.boards.cpus import CPUS
from pruneflow.deploy.c99.boards.running import run_on
from pruneflow.deploy.c99.header import header_of
from pruneflow.deploy.c99.identifiers import KEYWORDS, comment, identifier, identifiers
from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.source import source_of
from pruneflow.deploy.graphs.graph import NODE_NAME, Graph, Node
from tests.deploy.c99.arm import needs_emulator
from tests.deploy.c99.code import COMPILERS, Case, Library, compiled, require_right, write
from tests.deploy.networks import Network

HOSTILE = [
    "*/ int main(void){} /*", "/*/", "**//", "*//*", "\\", "\\\n", "??/", "??/\n", "?\u00e9??/",
    "\u2028*\n/\r\n#error", "\"; system(\"x\"); //", "%s%n", "@name@", "../../etc/passwd", "\0",
    "a" * 500, "*" * 200 + "/", ("?" * 60 + "/") * 3, "{name}", " ", "", "\u0430\u0431\u0432",
]  # fmt: skip
SIGNIFICANT = 63
"""Letters of a name that C99 tells apart inside a file; 31 of one that is linked."""


# -- names -----------------------------------------------------------------------------------


@given(st.text() | st.sampled_from([*HOSTILE, *sorted(KEYWORDS)]))
@example("math")
@example("FLOAT")
@example("9")
@example("stdint.h")
@example("x" * 21 + "_y")
@example("__init__")
def test_a_network_has_a_name_that_c_takes(text: str) -> None:
    name = identifier(text)
    assert re.fullmatch(r"[a-z]+(_?[a-z0-9]+)*", name)
    assert len(f"{name}_classify") <= 31
    assert name not in KEYWORDS
    assert name not in STANDARD
    assert identifier(name) == name


STANDARD = [
    "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits",
    "locale", "math", "setjmp", "signal", "stdarg", "stdbool", "stddef", "stdint", "stdio",
    "stdlib", "string", "tgmath", "time", "wchar", "wctype",
]  # fmt: skip


@pytest.mark.parametrize("name", STANDARD)
def test_no_network_takes_the_name_of_a_header(name: str) -> None:
    """Or else a program with -I for its folder would find it where the C library's is meant."""
    assert identifier(name) == f"net_{name}"


@given(st.lists(st.from_regex(NODE_NAME, fullmatch=True) | st.text(max_size=80), max_size=20))
@example(["a.b", "a_b", "A-B", "a.b_2", "a b"])
@example(["x" * 90, "x" * 91, "x" * 40, "x" * 38 + "_2"])
def test_nodes_have_different_names(texts: list[str]) -> None:
    found = identifiers(texts)
    assert found.keys() == set(texts)
    assert len(set(found.values())) == len(found)
    longest = max(map(len, found.values()), default=0)
    assert len(f"{'n' * 22}__values") + longest <= SIGNIFICANT


@given(st.text() | st.lists(st.sampled_from(["*", "/", "?", "\\", "\n", " "])).map("".join))
def test_a_comment_cannot_be_ended(text: str) -> None:
    found = comment(text)
    assert "*/" not in found
    assert "/*" not in found
    assert "??/" not in found
    assert all(" " <= letter <= "~" for letter in found)


# -- files -----------------------------------------------------------------------------------

NODES = [
    "a.b", "a_b", "A-B", "numbers", "fill", "add", "int", "output", "workspace", "o", "index",
    "values", "copy", "conv_shape", "main", "-", ".", "0", "x" * 200, "x" * 199 + "y", "NULL",
    "FLT_MAX", "a_b_2", "input_in_a_frame", "to",
]  # fmt: skip


def chain(names: list[str]) -> Network:
    """Convolutions with these names, one after the other."""
    generator = torch.Generator().manual_seed(0)
    same = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    nodes, tensors, before = [], {}, "input"
    for name in names:
        tensors[name] = torch.randn(2, 2, 3, 3, generator=generator) / 4
        tensors[f"{name}.bias"] = torch.randn(2, generator=generator)
        nodes.append(Node(name, "conv2d", (before,), name, f"{name}.bias", same))
        before = name
    return Network(Graph((2, 3, 3), tuple(nodes), before), tensors)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_nodes_of_any_name(compiler: str) -> None:
    case = Case(chain(NODES), "gaps8", "int8")
    library = Library([case.unit("net")], compiler)
    inputs = case.network.inputs()
    require_right(case, inputs, library.run("net", inputs))


def test_a_node_that_is_called_like_the_workspace() -> None:
    """Where nothing is in the workspace."""
    weight = torch.tensor([[1.0, 2.0]])
    graph = Graph((2,), (Node("numbers", "linear", ("input",), "w"),), "numbers")
    case = Case(Network(graph, {"w": weight}))
    assert case.unit().memory.size == 0
    assert Library([case.unit()]).run("net", torch.ones(1, 2)).item() == 3.0


NAMES = [
    "fill", "add", "conv", "pool", "linear", "clamp", "run", "loop", "net", "int", "math", "stdint",
    "a.b", "classify", "x" * 60, "\u00e9t\u00e9", "", "half", "softmax", "lib", "main", "numbers",
    "input", "inputs", "samples", "printf", "float", "FLT", "int8_t", "test", "copy", "c",
]  # fmt: skip


def test_networks_of_any_name() -> None:
    """In one folder, where the compiler looks for headers; their self-tests too."""
    same = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    graph = Graph(
        (1, 3, 3),
        (
            Node("shape", "conv2d", ("input",), "c", options=same),
            Node("dense_fp32", "flatten", ("shape",)),
            Node("value", "linear", ("dense_fp32",), "w"),
            Node("max", "softmax", ("value",)),
        ),
        "max",
    )
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "c": torch.randn(1, 1, 3, 3, generator=generator),
        "w": torch.randn(3, 9, generator=generator),
    }
    case, folder = Case(Network(graph, tensors), "dense"), Path("all")
    inputs = case.network.inputs()
    right = case.right(inputs)
    names = {identifier(name) for name in NAMES}
    for name in names:
        unit = case.unit(name)
        write(unit, folder)
        test = self_test_of(unit, inputs, right.outputs, 1e-5)
        (folder / f"{name}_test.c").write_text(test, encoding="ascii")
    sources = [f"{name}{end}.c" for name in names for end in ("", "_test")]
    compiled("cc", folder, "-fsyntax-only", "-I.", *sources)


@needs_emulator
@pytest.mark.parametrize("name", ["board", "stddef", "main"])
def test_the_program_of_a_board_has_other_names(name: str) -> None:
    case = Case(chain(["a"]))
    inputs, unit = case.network.inputs(), case.unit(identifier(name))
    write(unit, Path("it's a \\ folder"))
    source = Source(Path("it's a \\ folder") / f"{unit.name}.c", unit.name)
    ran = run_on(source, CPUS["cortex-m4"], inputs.reshape(3, -1).numpy())
    require_right(case, inputs, torch.from_numpy(ran.outputs.copy()))


def test_what_is_in_the_header_ends_no_comment() -> None:
    """The header of a network with hostile preprocessing is a header still, in any compiler."""
    case = Case(chain(["a"]))
    told: dict[str, Any] = {text: text for text in HOSTILE}
    told |= {"nested": {text: [text] for text in HOSTILE}, "number": 1e300, "none": None}
    header = header_of(case.unit(), told)
    assert header.count("*/") == header.count("/*")
    assert max(map(len, header.splitlines())) <= 100
    folder = Path("net")
    folder.mkdir()
    (folder / "net.h").write_text(header, encoding="ascii")
    (folder / "net.c").write_text(source_of(case.unit()), encoding="ascii")
    compiled("cc", folder, "-Wcomment", "-Wtrigraphs", "-O0", "-c", "net.c")
    for one in HOSTILE:
        (folder / "net.h").write_text(header_of(case.unit(), {"x": one}), encoding="ascii")
        compiled("cc", folder, "-fsyntax-only", "net.c")
