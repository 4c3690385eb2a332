"""The doctor's report, as tables for a terminal."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pruneflow import __version__
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.doctor import machine, packages, places
from pruneflow.cli.doctor.finding import Finding, examined
from pruneflow.errors import ConfigError
from pruneflow.report.printable import printable

USAGE = """usage: pruneflow doctor

Says what is installed, what training and deploying will use here, and what is
missing for what, with the command that brings it. Exit code 1 if PruneFlow
itself cannot work."""

CORE = "Needed"

MARKS = {"good": ("✓", "green"), "absent": ("·", "dim"), "bad": ("✗", "bold red")}

Section = tuple[str, list[Finding]]


def main(arguments: Sequence[str]) -> int:
    """Examine this installation."""
    console = PlainConsole()
    if arguments and arguments[0] in ("-h", "--help"):
        console.print(USAGE)
        return 0
    if arguments:
        raise ConfigError(f"doctor takes no arguments, not even '{arguments[0]}'")
    console.print(f"pruneflow {__version__}, Python {platform.python_version()}, "
                  f"{platform.system()} {platform.machine()}")  # fmt: skip
    healthy = True
    for title, found in sections():
        show(console, title, found)
        healthy &= title != CORE or all(finding.state == "good" for finding in found)
    malware = [name for name in packages.MALWARE if packages.is_malware(name)]
    for name in malware:
        warning = f"\n{name} here is MALWARE (GHSA-w37p-236h-pfx3). Remove it now."
        console.print(Text(warning, "bold red"))
    return 0 if healthy and not malware else 1


def sections() -> Iterator[Section]:
    """Every part of the report; what needs a package that must not be imported is left out."""
    yield CORE, examined("pruneflow", packages.core)
    yield "Brings more", examined("pruneflow", packages.optional)
    parts: dict[str, Callable[[], Iterable[Finding]]] = {
        "Trains on": machine.trainers,
        "Deploys with": lambda: [*machine.compilers(), *machine.engines()],
        "Data": places.data_sets,
        "Recipes": places.recipes,
        "Plugins": places.plugins,
    }
    if packages.is_malware("pytorch-lightning"):
        parts = {"Recipes": places.recipes}
    for title, look in parts.items():
        if found := examined(title, look):
            yield title, found


def show(console: Console, title: str, found: Sequence[Finding]) -> None:
    """Print one part of the report."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(width=1)
    table.add_column(max_width=22, overflow="fold")
    table.add_column(max_width=22, overflow="fold")
    table.add_column(overflow="fold")
    for finding in found:
        mark, style = MARKS[finding.state]
        note = Text(printable(finding.note), "red" if finding.state == "bad" else "")
        table.add_row(Text(mark, style), finding.name, printable(finding.found), note)
    console.print(Text(f"\n{title}", "bold"))
    console.print(table)
