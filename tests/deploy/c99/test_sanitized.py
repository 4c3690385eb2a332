"""Under AddressSanitizer and UBSan, and the self-test that is handed out with the code."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.weights import LAYOUTS
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.settings import C99_VALUES
from pruneflow.deploy.tracing.trace import trace
from tests.deploy.c99.code import (
    COMPILERS,
    SANITIZERS,
    Case,
    cases,
    compiled,
    require_right,
    write,
)
from tests.deploy.c99.test_parity import CHOSEN
from tests.deploy.networks import Network, lenet5, lenet_300_100, prune_, randomize_norms_

SAMPLES = 2
HEAP = """\
#include "{name}.h"
#include <string.h>

int heap_{name}(void);

int heap_{name}(void)
{{
    float *const input = malloc({upper}_INPUTS * sizeof(float));
    float *const output = malloc({upper}_OUTPUTS * sizeof(float));
    {name}_workspace *const workspace = malloc({upper}_WORKSPACE_BYTES);
    int all = sizeof(*workspace) == {upper}_WORKSPACE_BYTES;
    memset(workspace, 0xFF, {upper}_WORKSPACE_BYTES);
    for (int i = 0; i < {samples}; i++) {{
        all = all && fread(input, sizeof(float), {upper}_INPUTS, stdin) == {upper}_INPUTS;
        {name}_run(workspace, input, output);
        all = all && fwrite(output, sizeof(float), {upper}_OUTPUTS, stdout) == {upper}_OUTPUTS;
    }}
    free(input);
    free(output);
    free(workspace);
    return all;
}}
"""


@cache
def sanitizers_are_missing() -> bool:
    """Whether a program with sanitizers cannot be made and run here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.c"
        path.write_text("int main(void) { return 0; }\n")
        words = ["cc", *SANITIZERS, "a.c", "-o", "a.out"]
        made = subprocess.run(words, cwd=folder, capture_output=True, check=False)
        run = made.returncode or subprocess.run([f"{folder}/a.out"], check=False).returncode
    return run != 0


needs_sanitizers = pytest.mark.skipif(
    sanitizers_are_missing(), reason="the C compiler has no sanitizers here"
)


def run(path: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program."""
    return subprocess.run([path.absolute()], input=given, capture_output=True, check=False)


def require_clean(drawn: list[Case]) -> None:
    """Right, with every array on the heap at its exact size, and no complaint."""
    folder, units = Path("heap"), [case.unit(f"n{i}") for i, case in enumerate(drawn)]
    parts, calls, given = ["#include <stdio.h>\n#include <stdlib.h>\n"], [], b""
    for unit, case in zip(units, drawn, strict=True):
        write(unit, folder)
        parts.append(HEAP.format(name=unit.name, upper=unit.name.upper(), samples=SAMPLES))
        calls.append(f"heap_{unit.name}()")
        given += case.network.inputs(SAMPLES).numpy().tobytes()
    parts.append(f"int main(void) {{ return {' && '.join(calls)} ? 0 : 1; }}\n")
    (folder / "heap.c").write_text("\n".join(parts))
    sources = [f"{unit.name}.c" for unit in units]
    compiled("cc", folder, "-O1", "-g", *SANITIZERS, *sources, "heap.c", "-o", "heap", "-lm")
    done = run(folder / "heap", given)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    found = torch.frombuffer(bytearray(done.stdout), dtype=torch.float32)
    sizes = [SAMPLES * unit.outputs for unit in units]
    for case, outputs in zip(drawn, found.split(sizes), strict=True):
        require_right(case, case.network.inputs(SAMPLES), outputs)


class Mixed(nn.Module):
    """A little of everything: strides, groups, dilation, shortcuts, every kind of pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (5, 3), (2, 1), (2, 1))
        self.depth = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Conv2d(8, 8, 3, 1, (2, 4), (2, 4), 2)
        self.narrow = nn.Conv2d(8, 12, 1, 2)
        self.most = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.mean = nn.AvgPool2d((2, 3), (2, 2), (1, 1), ceil_mode=True)
        self.bare = nn.AvgPool2d(2, 1, 1, count_include_pad=False)
        self.far = nn.MaxPool2d(2, 1, 1, dilation=2)
        self.head = nn.Linear(12, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = nn.functional.relu6(x + self.norm(self.depth(x)))
        x = nn.functional.leaky_relu(self.wide(x) + x, 0.1)
        x = self.far(self.bare(self.mean(self.most(x))))
        x = torch.relu(self.narrow(x)).mean((2, 3))
        return self.head(x).softmax(1)


def known(module: nn.Module, *shape: int) -> Network:
    """A pruned network as a graph."""
    traced = trace(prune_(randomize_norms_(module), 0.8).eval(), torch.zeros(2, *shape))
    return Network(traced.graph, traced.tensors)


# -- no place is read or written that is not there -------------------------------------------


@needs_sanitizers
@settings(max_examples=3)
@given(st.lists(cases(), min_size=1, max_size=8))
def test_drawn_networks_stay_in_their_arrays(drawn: list[Case]) -> None:
    require_clean(drawn)


@needs_sanitizers
@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(cases(8), min_size=6, max_size=10))
def test_hundreds_of_drawn_networks_stay_in_their_arrays(drawn: list[Case]) -> None:
    require_clean(drawn)


@needs_sanitizers
def test_known_networks_stay_in_their_arrays() -> None:
    everything = known(Mixed(), 3, 17, 21)
    drawn = [Case(everything, *kind) for kind in zip(LAYOUTS, C99_VALUES, strict=True)]
    require_clean([*drawn, Case(known(lenet5(), 1, 28, 28), "gaps8", "int8")])


@needs_sanitizers
def test_networks_that_are_easily_got_wrong_stay_in_their_arrays() -> None:
    require_clean([Case(one, "gaps8", "fp16") for one in CHOSEN.values()])


# -- the self-test that is handed out --------------------------------------------------------


def self_test(
    case: Case, *flags: str, off: float = 0.0, compiler: str = "cc", samples: int = 4
) -> subprocess.CompletedProcess[bytes]:
    """Compile and run a network's self-test, with its last expected output altered."""
    inputs = case.network.inputs(samples)
    right = case.right(inputs)
    outputs, tolerance = right.outputs.clone(), float(right.bound.max())
    outputs[-1].view(-1)[-1] += off
    return run(self_tested(case, inputs, outputs, tolerance, compiler, *flags))


def self_tested(
    case: Case,
    inputs: torch.Tensor,
    outputs: torch.Tensor,
    tolerance: float,
    compiler: str,
    *flags: str,
) -> Path:
    """The program of a self-test."""
    folder, unit = Path("tested"), case.unit()
    write(unit, folder)
    (folder / "net_test.c").write_text(self_test_of(unit, inputs, outputs, tolerance))
    compiled(compiler, folder, "-O1", *flags, "net.c", "net_test.c", "-o", "net_test", "-lm")
    return folder / "net_test"


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("samples", [1, 4])
def test_the_self_test_passes_and_says_so(compiler: str, samples: int) -> None:
    done = self_test(Case(known(Mixed(), 3, 17, 21)), compiler=compiler, samples=samples)
    assert (done.returncode, done.stderr) == (0, b"")
    *lines, last = done.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == ["ok"] * samples
    assert last == f"0 of {samples} wrong"


@needs_sanitizers
def test_the_self_test_has_no_undefined_behaviour() -> None:
    done = self_test(Case(known(lenet_300_100(), 1, 28, 28), "gaps8", "int8"), *SANITIZERS)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("off", [0.01, -0.01, 1e30])
def test_the_self_test_fails_where_an_output_is_another(off: float) -> None:
    done = self_test(Case(known(Mixed(), 3, 17, 21)), off=off)
    assert done.returncode == 1
    *lines, last = done.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == ["ok", "ok", "ok", "WRONG"]
    assert last == "1 of 4 wrong"


@pytest.mark.parametrize("place", [0, 1])
def test_the_self_test_fails_where_an_output_is_no_number(place: int) -> None:
    """Infinity minus infinity, in the first output or in the last."""
    weight = torch.zeros(2, 2)
    weight[place] = torch.tensor([3e38, -3e38])
    weight[1 - place, 1] = 1.0
    node = Node("l", "linear", ("input",), "w")
    case = Case(Network(Graph((2,), (node,), "l"), {"w": weight}))
    inputs, outputs = torch.tensor([[9.0, 9.0]]), torch.zeros(1, 2)
    outputs[0, 1 - place] = 9.0
    assert run(self_tested(case, inputs, outputs, 1.0, "cc")).returncode == 1
