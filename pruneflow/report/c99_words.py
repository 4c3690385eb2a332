"""What a report says of the C99 code that was written: the numbers that matter, in plain words."""

from __future__ import annotations

from pruneflow.report import units
from pruneflow.report.deploy_view import is_green
from pruneflow.report.record import Record

PARTS = ("values", "index", "scales", "bias", "code")
"""Of the flash; those that a bundle has as well come first, and so have its colours."""


def code_of(report: Record) -> Record | None:
    """What is known of the C99 code; None where none was written, or the gate is red."""
    return report.record("c99") if report.has("c99") and is_green(report) else None


def parts(code: Record, kind: str) -> dict[str, float]:
    """Bytes of flash by part.

    Args:
        code: What is known of the code.
        kind: ``sparse``, or ``dense`` for the same network with every weight.
    """
    sizes = code.record("flash").record(kind)
    return {name: sizes.number(name) for name in PARTS if sizes.has(name)}


def total(code: Record, kind: str) -> float | None:
    """All bytes of flash, but for the compiler's libraries; None where that is not known."""
    return code.record("flash").record(kind).optional("total")


def counted(code: Record) -> Record | None:
    """The board to speak of: that of the processor whose flash is told, or else the first."""
    cpu = code.record("flash").text("cpu", "")
    boards = [board for board in code.records("boards") if board.has("instructions")]
    boards.sort(key=lambda board: board.text("cpu", "") != cpu)
    return next(iter(boards), None)


def against(value: float, dense: float | None, less: str) -> str:
    """``34.9x less``, with the sign; empty where it cannot be compared.

    Args:
        value: Of the sparse network.
        dense: Of the dense one.
        less: The word for it: ``less``, ``fewer``.
    """
    if dense is None or min(value, dense) <= 0:
        return ""
    if value <= dense:
        return f"{units.times(dense / value)} {less}"
    return f"{units.times(value / dense)} more"


def lines(code: Record) -> dict[str, str]:
    """``flash``, ``RAM``, ``instructions`` and ``parity``, as far as they are known."""
    boards = (_instructions(board) for board in code.records("boards"))
    found = {
        "flash": _flash(code),
        "RAM": memory(code),
        "instructions": "\n".join(filter(None, boards)),
        "parity": parity(code),
    }
    return {name: text for name, text in found.items() if text}


def memory(code: Record) -> str:
    """``1,600 bytes of workspace, 0 static, 44 of stack``."""
    ram = code.record("flash").record("ram")
    workspace = ram.optional("workspace")
    if workspace is None:
        workspace = code.record("memory").optional("workspace_bytes")
    named = {"of workspace": workspace, "static": ram.optional("static"),
             "of stack": ram.optional("stack")}  # fmt: skip
    known = [(name, value) for name, value in named.items() if value is not None]
    return ", ".join(
        f"{units.count(value)}{' bytes' if not place else ''} {name}"
        for place, (name, value) in enumerate(known)
    )


def parity(code: Record) -> str:
    """``accuracy 96.53% in torch, 96.56% in C; largest deviation 2.1e-05``."""
    found, said = code.record("parity"), []
    scores = found.record("accuracy")
    if scores.has("torch") and scores.has("c"):
        before, after = (units.percent(scores.number(key)) for key in ("torch", "c"))
        said.append(f"accuracy {before} in torch, {after} in C")
    if found.has("largest_deviation"):
        said.append(f"largest deviation {found.number('largest_deviation'):.2g}")
    return "; ".join(said)


def gain(code: Record) -> str:
    """``10.5x fewer instructions than dense on cortex-m4 (emulated)``; empty if not counted."""
    board = counted(code)
    if board is None:
        return ""
    ratio = against(board.number("instructions"), board.optional("dense_instructions"), "fewer")
    return f"{ratio} instructions than dense{_on(board)} (emulated)" if ratio else ""


def _flash(code: Record) -> str:
    size = total(code, "sparse")
    if size is None:
        return ""
    text = f"{units.count(size)} bytes{_on(code.record('flash'))}"
    dense = total(code, "dense")
    if ratio := against(size, dense, "less"):
        text += f", {ratio} than dense ({units.count(dense or 0)})"
    library = code.record("flash").record("sparse").optional("library")
    return f"{text}; {units.count(library)} more of libraries" if library else text


def _instructions(board: Record) -> str:
    count = board.optional("instructions")
    if count is None:
        return ""
    ratio = against(count, board.optional("dense_instructions"), "fewer")
    return f"{units.count(count)} a sample{_on(board)}" + (f", {ratio} than dense" if ratio else "")


def _on(place: Record) -> str:
    return f" on {place.text('cpu')}" if place.has("cpu") else ""
