"""The part of a deployed network's page that tells of its C99 code."""

from __future__ import annotations

from collections.abc import Iterator

from pruneflow.report import units
from pruneflow.report.c99_charts import (
    against_chart,
    buffers_of,
    flash_chart,
    flash_keys,
    memory_chart,
    memory_keys,
)
from pruneflow.report.c99_words import against, code_of, counted, memory, parts, total
from pruneflow.report.html import Markup, element, joined
from pruneflow.report.parts import Cell, chart, charts, facts, section, table, tile
from pruneflow.report.record import Record


def sections(report: Record) -> list[Markup]:
    """The section, if C99 code was written."""
    code = code_of(report)
    if code is None:
        return []
    absent = code.text("boards_absent", "")
    why = [element("p", f"Not run on every board: {absent}", class_="note")] if absent else []
    note = (
        "The network as C99: what it takes of a microcontroller, and how it was found to be "
        "right. Instructions are counted in an emulator; they are no cycles."
    )
    return [
        section("C99", *_parity(code.record("parity")), _pictures(code), *why, *_boards(code),
                *_layers(code), facts(_facts(code)), note=note)
    ]  # fmt: skip


def tiles(report: Record) -> Iterator[Markup]:
    """Flash and instructions, as far as they are known."""
    code = code_of(report)
    if code is None:
        return
    size, dense = total(code, "sparse"), total(code, "dense")
    if size is not None:
        ratio = against(size, dense, "less")
        of = f" of {units.size(dense)}" if dense else ""
        cpu = code.record("flash").text("cpu", "")
        where = f" on {cpu}" if cpu else ""
        yield tile("Flash", ratio or units.size(size), f"{units.size(size)}{of}{where}",
                   "good" if ratio.endswith("less") else "")  # fmt: skip
    board = counted(code)
    if board is not None:
        found, every = board.number("instructions"), board.optional("dense_instructions")
        ratio = against(found, every, "fewer")
        of = f" of {units.count(every)}" if every else ""
        detail = f"{units.count(found)}{of}, {board.text('cpu', 'one board')}, emulated"
        yield tile("Instructions", ratio or units.count(found), detail,
                   "good" if ratio.endswith("fewer") else "")  # fmt: skip


def _parity(found: Record) -> list[Markup]:
    """The sentences about torch and C."""
    said, samples = [], found.optional("samples")
    split = f" {found.text('split')}" if found.has("split") else ""
    where = "" if samples is None else f" on {units.count(samples)}{split} samples"
    scores = found.record("accuracy")
    if scores.has("torch") and scores.has("c"):
        torch, c = (units.percent(scores.number(key)) for key in ("torch", "c"))
        line = f"Accuracy {torch} in torch and {c} in C{where}"
        line += f": {units.points(found.number('drop'))}" if found.has("drop") else ""
        allowed = found.optional("allowed")
        said.append(line + ("." if allowed is None else f"; {allowed:g} points are allowed."))
    if found.has("largest_deviation"):
        far = f"The largest deviation of an output is {found.number('largest_deviation'):.2g}"
        said.append(f"{far}{'' if said else where}.")
    if found.has("same_class"):
        of = "" if samples is None else f" of {units.count(samples)}"
        said.append(f"The same class for {units.count(found.number('same_class'))}{of}.")
    return [element("p", " ".join(said))] if said else []


def _pictures(code: Record) -> Markup:
    found, sizes = [], parts(code, "sparse")
    if sizes and parts(code, "dense"):
        found.append(chart("Flash against the dense network", against_chart(code)))
    if sizes:
        found.append(chart("Inside the flash", flash_chart(code), flash_keys(sizes)))
    if buffers := buffers_of(code):
        picture = memory_chart(buffers)
        found.append(chart("RAM: the workspace, step by step", picture, memory_keys(buffers)))
    return charts(*found) if found else Markup()


def _boards(code: Record) -> list[Markup]:
    rows = [_board(board) for board in code.records("boards")]
    columns = ["processor", ">flash", ">libraries", ">same class", ">instructions", ">dense",
               ">dense / this"]  # fmt: skip
    if not rows:
        return []
    note = (
        "Instructions of one sample, and how many times as many the dense network takes. Libraries "
        "are the bytes that the compiler adds beside the flash: floating point where the processor "
        "has none, exponentials."
    )
    return [element("h3", "Boards"), element("p", note, class_="note"),
            table("Boards", columns, rows)]  # fmt: skip


def _board(board: Record) -> list[Cell | str]:
    ran = ", ".join(board.text(key) for key in ("machine", "emulator") if board.has(key))
    found, every = board.optional("instructions"), board.optional("dense_instructions")
    ratio = every / found if found and every and min(found, every) > 0 else None
    tone = "strong" if ratio is not None and ratio > 1 else "soft"
    samples, agrees = board.optional("samples"), board.optional("agrees")
    told = "-" if samples is None or agrees is None else f"{agrees:.0f} of {samples:.0f}"
    is_off = samples is not None and agrees is not None and agrees < samples
    return [
        Cell(joined((board.text("cpu", "-"), element("small", ran))), class_="name"),
        _count(board.optional("flash")),
        _count(board.optional("library")),
        Cell(told, agrees, "bad" if is_off else ""),
        _count(found),
        _count(every),
        Cell("-") if ratio is None else Cell(units.times(ratio), ratio, tone),
    ]


def _layers(code: Record) -> list[Markup]:
    rows = [_layer(layer) for layer in code.records("layers")]
    columns = ["layer", "layout", "values", ">stored", ">value bytes", ">index bytes",
               ">scale bytes", ">bias bytes", ">bytes"]  # fmt: skip
    if not rows:
        return []
    return [element("h3", "Layers as arrays of C"), table("C99 layers", columns, rows)]


def _layer(layer: Record) -> list[Cell | str]:
    sizes = layer.record("bytes")
    each = [sizes.optional(name) for name in ("values", "index", "scales", "bias")]
    sides = [layer.optional(key) for key in ("rows", "columns")]
    shape = f" {units.TIMES} ".join(f"{side:.0f}" for side in sides if side is not None)
    known = [size for size in each if size is not None]
    return [
        Cell(joined((layer.text("name", "-"), element("small", shape))), class_="name"),
        layer.text("layout", "-"),
        layer.text("values", "-"),
        _count(layer.optional("stored")),
        *(_count(size) for size in each),
        _count(sum(known) if known else None),
    ]


def _facts(code: Record) -> dict[str, str]:
    """What else there is to know: files, memory, compilers."""
    needs, flash, parity = code.record("memory"), code.record("flash"), code.record("parity")
    board = counted(code) or Record({}, "")
    found = {"files": ", ".join(code.facts("files").values())}
    stored = ", ".join(code.text(key) for key in ("values", "activations") if code.has(key))
    found |= {"weights, activations": stored, "RAM": memory(code)}
    given = [f"{units.count(needs.number(key))} for the {key.removesuffix('_bytes')}"
             for key in ("input_bytes", "output_bytes") if needs.has(key)]  # fmt: skip
    found["of the caller"] = " and ".join(given) + (" (bytes)" if given else "")
    for name, holder, keys in (
        ("compared with", parity, ("reference",)),
        ("compiled here by", parity, ("compiler", "flags")),
        ("flash by", flash, ("tool", "flags")),
        ("instructions by", board, ("emulator", "flags")),
    ):
        found[name] = ": ".join(holder.text(key) for key in keys if holder.has(key))
    return {name: text for name, text in found.items() if text}


def _count(value: float | None) -> Cell:
    return Cell("-") if value is None else Cell(units.count(value), value)
