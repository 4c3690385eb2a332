"""Loops and products, found in disassembled code."""

from __future__ import annotations

import pytest

from pruneflow.deploy.aot.sass import Code


def code(text: str) -> Code:
    """Of lines that are instructions, or labels that end with a colon."""
    lines = []
    for place, line in enumerate(text.strip().splitlines()):
        word = line.strip()
        is_label = word.endswith(":")
        lines.append(word if is_label else f"        /*{place * 16:04x}*/   {word} ;")
    return Code("\n".join(lines))


def names(found: Code) -> list[str]:
    return [instruction.name for instruction in found.hot]


LOOP = """
    MOV R1, c[0x0][0x28]
    @!P0 BRA `(.L_x_1)
.L_x_0:
    LDG.E R2, desc[UR4][R2.64]
    FFMA R3, R2, R2, R3
    @P1 BRA `(.L_x_0)
.L_x_1:
    STG.E desc[UR4][R4.64], R3
    EXIT
.L_x_2:
    BRA `(.L_x_2)
"""


def test_the_hot_loop_is_the_one_that_multiplies() -> None:
    found = code(LOOP)
    assert names(found) == ["LDG.E", "FFMA", "BRA"]
    assert sum(instruction.products for instruction in found.hot) == 1
    assert frozenset({2, 3, 4}) in found.loops


def test_code_without_such_a_loop_is_hot_as_a_whole() -> None:
    found = code(LOOP.replace("FFMA R3, R2, R2", "FADD R3, R2, R2"))
    assert len(found.hot) == len(found.instructions) == 8


def test_of_nested_loops_the_inner_one_counts_unless_it_only_waits() -> None:
    text = """
.L_x_0:
    IADD3 R9, R9, 0x1, RZ
.L_x_1:
    {inner} R3, R2, R2, R3
    @P1 BRA `(.L_x_1)
    FFMA R5, R2, R2, R3
    @P2 BRA `(.L_x_0)
    EXIT
"""
    assert names(code(text.format(inner="FFMA"))) == ["FFMA", "BRA"]
    waits = names(code(text.format(inner="SYNCS.PHASECHK")))
    assert waits == ["IADD3", "SYNCS.PHASECHK", "BRA", "FFMA", "BRA"]


def test_a_jump_back_from_code_laid_out_at_the_end_is_no_loop() -> None:
    found = code("""
    FFMA R3, R2, R2, R3
    BRA.DIV UR4, `(.L_x_9)
.L_x_0:
    FFMA R3, R2, R2, R3
    @P1 BRA `(.L_x_0)
    EXIT
.L_x_9:
    WARPSYNC.COLLECTIVE R5, `(.L_x_8)
.L_x_8:
    SHFL.BFLY PT, R8, R8, 0x2, 0x1f
    BRA `(.L_x_0)
""")
    assert names(found) == ["FFMA", "BRA"]
    assert found.loops == [frozenset({2, 3})]


def test_two_loops_are_taken_together() -> None:
    text = "\n".join(f".L_x_{i}:\nFFMA R3, R2, R2, R3\n@P1 BRA `(.L_x_{i})" for i in (0, 1))
    assert names(code(text + "\nEXIT")) == ["FFMA", "BRA"] * 2


@pytest.mark.parametrize(
    ("name", "products"),
    [
        ("FFMA", 1), ("FFMA2", 2), ("HMMA.16816.F32.BF16", 64), ("HMMA.1688.F32", 32),
        ("HGMMA.64x16x16.F32.BF16", 128), ("FADD", 0), ("IMAD.MOV.U32", 0), ("FFMA.FTZ", 1),
    ],
)  # fmt: skip
def test_products_of_a_thread(name: str, products: float) -> None:
    (instruction,) = code(f"{name} R1, R2, R3, R4").instructions
    assert instruction.products == products
    assert instruction.is_tensor == (products > 2)
