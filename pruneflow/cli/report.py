"""``pruneflow report``: gather runs, sweeps and deployed networks into one page."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pruneflow.errors import ConfigError

PAGE = "report.html"
USAGE = """usage: pruneflow report FOLDER... [-o FILE]

Gathers runs, sweeps and deployed networks, in these folders and below them,
into one page.

  FOLDER              a run, a sweep, or a folder of them such as 'outputs'
  -o, --output FILE   the page; by default report.html, in FOLDER if there is
                      just one, or else here

examples:
  pruneflow report outputs
  pruneflow report outputs/sweeps/2026-11-22 outputs/lenet_imp -o compared.html"""


def main(arguments: Sequence[str]) -> int:
    """Print a table of the runs in some folders and write the page over them."""
    from pruneflow.cli.console import PlainConsole

    console = PlainConsole()
    parsed = _parsed(arguments)
    if parsed.help:
        console.print(USAGE)
        return 0
    from pruneflow import runfolder
    from pruneflow.report import gathered_page
    from pruneflow.report.gathered import collect, home_of
    from pruneflow.report.gathered_table import gathered_table
    from pruneflow.report.html import clean

    rows = collect(parsed.folders)
    single = len(parsed.folders) == 1
    path = parsed.output or (home_of(parsed.folders[0]) / PAGE if single else Path(PAGE))
    path = path / PAGE if path.is_dir() else path
    _require_replaceable(path)
    console.print(gathered_table(rows))
    with runfolder.writing(path.parent):
        gathered_page.write(rows, path)
    console.print(clean(f"Page: {runfolder.shown(path)}"), soft_wrap=True)
    return 0


class _Parser(ArgumentParser):
    """Mistakes are reported as all others are."""

    def error(self, message: str) -> NoReturn:
        """See base class."""
        raise ConfigError(message)


def _parsed(arguments: Sequence[str]) -> Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("-h", "--help", action="store_true")
    parsed = parser.parse_intermixed_args(list(arguments))
    if not parsed.folders and not parsed.help:
        parser.error("report what? For example: pruneflow report outputs")
    return parsed


def _require_replaceable(path: Path) -> None:
    """Refuse to write over a file that is no page of ours: ``-o result.json`` is a slip."""
    from pruneflow import runfolder
    from pruneflow.report.html import is_page

    try:
        foreign = path.is_file() and not is_page(path)
    except OSError as error:
        raise ConfigError(f"{runfolder.shown(path)}: cannot be read: {error.strerror}") from None
    if foreign:
        raise ConfigError(
            f"{runfolder.shown(path)} is there and no page of PruneFlow's; choose another: -o FILE"
        )
