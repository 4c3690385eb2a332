"""Flash by what it is for, against what is known of the arrays."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruneflow.deploy.c99.boards.building import PROGRAM, compile_object
from pruneflow.deploy.c99.boards.cpus import CPUS, Cpu
from pruneflow.deploy.c99.boards.flash import flash_of
from pruneflow.deploy.c99.boards.tools import call, toolchain
from tests.deploy.c99.arm import DENSE, TINY, needs_compiler, written

pytestmark = needs_compiler

each_cpu = pytest.mark.parametrize("cpu", CPUS.values(), ids=CPUS)
M4 = CPUS["cortex-m4"]


@each_cpu
def test_arrays_are_told_apart(cpu: Cpu) -> None:
    sparse, dense = flash_of(written(TINY), cpu), flash_of(written(DENSE), cpu)
    assert (sparse.values, sparse.index, sparse.scales, sparse.bias) == (5, 5 + 3, 12, 12)
    assert (dense.values, dense.index, dense.scales, dense.bias) == (48, 0, 0, 12)
    assert 40 < sparse.code < 250
    assert sparse.to_json()["total"] == sparse.code + 5 + 8 + 12 + 12


def test_the_total_is_what_size_says() -> None:
    source = written(TINY + "static int calls; int count(void) { return ++calls; } int k = 5;")
    flash = flash_of(source, M4)
    compile_object(source.path, M4, ("-std=c99", "-Os", "-ffp-contract=fast"), Path("made.o"))
    text, data, bss = call(toolchain().size, "made.o").splitlines()[1].split()[:3]
    assert flash.total == int(text) + int(data)
    assert flash.static_ram == int(data) + int(bss) == 8


def test_what_is_no_weight_counts_as_code() -> None:
    table = "static const short table[50] = {1, 2}; int look(int i) { return table[i]; }"
    plain, more = flash_of(written(TINY), M4), flash_of(written(TINY + table), M4)
    assert more.code >= plain.code + 100
    assert more.values == plain.values


def test_floats_without_a_unit_for_them_come_from_a_library() -> None:
    source = written(TINY)
    assert flash_of(source, CPUS["cortex-m0plus"]).library > 500
    assert flash_of(source, M4).library < 16


@each_cpu
@pytest.mark.parametrize("name", ["startup.c", "console.c", "main.c"])
def test_the_program_compiles_without_a_warning(cpu: Cpu, name: str) -> None:
    written(TINY)
    words = (
        "-std=c99",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-pedantic",
        "-Werror",
        f"-I{Path.cwd()}",
    )
    names = ("-DPROBED=tiny", "-DPROBED_MACROS=TINY", '-DPROBED_HEADER="tiny.h"')
    sizes = ("-DPROBED_INPUTS=4", "-DPROBED_SAMPLES=1", "-DPROBED_PATIENCE=9")
    compile_object(PROGRAM / name, cpu, (*words, *names, *sizes), Path("made.o"))
