"""Python and C mean the same memory."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from pruneflow.deploy.native import abi, library
from pruneflow.deploy.native.layers import FARTHEST, PANEL
from tests.deploy.native.kernels import BUILDS, IS_X86, PROGRAM, compile_c, needs_compiler

STRUCTURES = {
    "pf_activation": abi.Activation,
    "pf_map": abi.Map,
    "pf_frame": abi.Frame,
    "pf_rows": abi.Rows,
    "pf_windows": abi.Windows,
    "pf_op": abi.Op,
    "pf_program": abi.Program,
    "pf_call": abi.Call,
}
RENAMED = {("pf_op", "input"): "in", ("pf_op", "output"): "out"}
CONSTANTS = {
    **{kind.name: int(kind) for kind in abi.Kind},
    **{variant.name: int(variant) for variant in abi.Variant},
    **{f"PF_{kind.name}": int(kind) for kind in abi.ActivationKind},
    "PF_PANEL": PANEL,
    "PF_ALIGN << 16": FARTHEST,
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """Sizes of structures, offsets and sizes of their fields, and constants, as C has them."""
    folder = tmp_path_factory.mktemp("layout")
    lines = [f'#include "{PROGRAM}"', "#include <stdio.h>", "int main(void) {"]
    for name, structure in STRUCTURES.items():
        lines.append(f'printf("{name}=%zu\\n", sizeof({name}));')
        for field, *_ in structure._fields_:
            of = RENAMED.get((name, field), field)
            lines.append(
                f'printf("{name}.{field}=%zu %zu\\n", offsetof({name}, {of}), '
                f"sizeof((({name} *)0)->{of}));"
            )
    lines += [f'printf("{name}=%d\\n", (int)({name}));' for name in CONSTANTS]
    (folder / "layout.c").write_text("\n".join([*lines, "return 0;", "}"]), encoding="utf-8")
    compile_c("-O0", "-o", folder / "layout", folder / "layout.c", "-lm")
    said = subprocess.run([folder / "layout"], capture_output=True, text=True, check=True).stdout
    pairs = (line.rsplit("=", 1) for line in said.splitlines())
    return {name: [int(number) for number in numbers.split()] for name, numbers in pairs}


@needs_compiler
@pytest.mark.parametrize("name", list(STRUCTURES))
def test_structures_are_laid_out_alike(name: str, layout: dict[str, list[int]]) -> None:
    structure = STRUCTURES[name]
    assert layout[name] == [ctypes.sizeof(structure)]
    for field, *_ in structure._fields_:
        place = getattr(structure, field)
        assert layout[f"{name}.{field}"] == [place.offset, place.size], field


@needs_compiler
def test_constants_are_alike(layout: dict[str, list[int]]) -> None:
    assert {name: layout[name][0] for name in CONSTANTS} == CONSTANTS


@needs_compiler
@pytest.mark.parametrize("build", list(BUILDS))
def test_the_compiler_has_nothing_to_say(build: str, tmp_path: Path) -> None:
    if build != "native" and not IS_X86:
        pytest.skip("these are x86 processors")
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic"]
    flags = [*library.FLAGS, *(BUILDS[build] or ["-march=native"]), "-fopenmp"]
    assert compile_c(*warnings, *flags, "-o", tmp_path / "kernels.so", PROGRAM) == ""
