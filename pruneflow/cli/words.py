"""What a word of the recipe language means, from its own declaration."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pruneflow.modifiers import Modifier
from pruneflow.modifiers.fields import declared_fields
from pruneflow.registry import Registry, summary
from pruneflow.schedules import SHAPES

INHERITED = ("targets", "ignore")


def document(cls: type[Modifier], console: Console) -> None:
    """Print a modifier's meaning, its source, its fields, and the words they may hold."""
    console.print(Text.assemble((cls.type, "bold"), ": ", summary(cls)))
    body = (cls.__doc__ or "").partition("\n")[2].replace("`", "")
    for part in body.split("\n\n"):
        if part.strip():
            console.print(Padding(" ".join(part.split()), (1, 0, 0, 2)))
    if cls.paper:
        console.print(Padding(f"Source: {cls.paper}", (1, 0, 0, 2)))
    table = Table(
        "field", "default", "meaning", box=None, header_style="bold", padding=(1, 2, 0, 0)
    )
    declared = declared_fields(cls)
    for declaration in sorted(declared, key=lambda entry: entry.name in INHERITED):
        doc, kind = declaration.metadata["doc"], declaration.metadata["kind"]
        meaning = Text.assemble(doc, "\n", (kind.label, "dim"))
        table.add_row(declaration.name, _default(declaration), meaning)
    console.print(table)
    for declaration in declared:
        _document_choices(declaration, console)


def _document_choices(declared: Field[Any], console: Console) -> None:
    names = getattr(declared.metadata["kind"], "names", ())
    documented = SHAPES if declared.name == "schedule" else names
    if not isinstance(documented, Registry):
        return
    console.print(Text.assemble("\n", (declared.name, "bold")))
    for name in names:
        if name in documented:
            line = f"{name}: {summary(documented[name])}"
            console.print(Padding(line, (0, 0, 0, 2)))


def _default(declared: Field[Any]) -> str:
    if declared.default is MISSING:
        return "required"
    if declared.default is None or declared.default == ():
        return ""
    return str(declared.metadata["kind"].render(declared.default))
