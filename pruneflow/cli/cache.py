"""``pruneflow cache``: the work that runs share, how large it is, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pruneflow.cli.console import PlainConsole
from pruneflow.errors import ConfigError, did_you_mean
from pruneflow.report import units
from pruneflow.report.printable import printable
from pruneflow.training.shared import store

USAGE = f"""usage: pruneflow cache list     what runs may go on from, and its size
       pruneflow cache clear    delete it, but for what is in use

Runs that are the same up to some step are trained once up to there: a sweep
keeps a checkpoint where its jobs part, in {store.FOLDER}, and later runs go on
from it, too. It holds {units.size(store.LIMIT)} at most; what was not used for longest goes
first. Deleting it changes no result. With share=false a run neither keeps
nor takes anything."""

VERBS = ("list", "clear")


def main(arguments: Sequence[str]) -> int:
    """Run one of the sub-commands."""
    console = PlainConsole()
    verb, *rest = arguments or ("--help",)
    if verb in ("-h", "--help"):
        console.print(USAGE)
        return 0
    if verb not in VERBS:
        raise ConfigError(f"no 'cache {verb}'.{did_you_mean(verb, VERBS, always=True)}")
    if rest:
        raise ConfigError(f"cache {verb}: takes no '{rest[0]}'")
    return _list(console) if verb == "list" else _clear(console)


def _list(console: PlainConsole) -> int:
    found = store.entries(store.FOLDER)
    if not found:
        console.print(f"Nothing is kept in {store.FOLDER}.")
        return 0
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in ("recipe", "model", "data"):
        table.add_column(column, overflow="fold")
    for column in ("steps", "CPU time", "size", "last used"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in sorted(found, key=lambda entry: entry.used, reverse=True):
        about = [printable(entry.about[key]) for key in ("recipe", "model", "data")]
        numbers = (units.count(entry.step), f"{entry.seconds:.1f} s", units.size(entry.bytes))
        table.add_row(*about, *numbers, _ago(store.age(entry)))
    console.print(table)
    total = units.size(sum(entry.bytes for entry in found))
    console.print(
        f"{total} in {store.FOLDER}, of {units.size(store.LIMIT)} that it may hold. "
        "To delete it: pruneflow cache clear",
        soft_wrap=True,
    )
    return 0


def _clear(console: PlainConsole) -> int:
    points, size = store.clear(store.FOLDER)
    left = len(store.entries(store.FOLDER))
    more = f" {left} in use are left." if left else ""
    console.print(f"Deleted {points} from {store.FOLDER}, {units.size(size)}.{more}")
    return 0


def _ago(seconds: float) -> str:
    """``5 min ago``."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
