"""Measure every claim, one after the other, and write the page of results.

    python -m benchmarks                     what is not measured yet
    python -m benchmarks startup events      some claims, if they are not measured yet
    python -m benchmarks --again startup     anew
    python -m benchmarks --list              claims, scripts, files, about how long
    python -m benchmarks page                only write the page

Each claim is measured in a process of its own on one thread; within it, what is compared takes
turns. A claim that needs something (a run, a GPU) is named, with its command, and left to you.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import page
from benchmarks.claims import CLAIMS, Claim
from pruneflow.errors import did_you_mean

ONLY_PAGE = "page"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where a script failed or a claim did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="of --list; or 'page'")
    parser.add_argument("--again", action="store_true", help="measure what is measured already")
    parser.add_argument("--list", action="store_true", help="show the claims, and measure nothing")
    asked = parser.parse_args(arguments)
    if asked.list:
        print(listed(CLAIMS))
        return 0
    names = [claim.name for claim in CLAIMS]
    for word in asked.claims:
        if word not in (*names, ONLY_PAGE):
            parser.error(f"no claim '{word}'.{did_you_mean(word, names, always=True)}")
    wanted = [claim for claim in CLAIMS if claim.name in asked.claims or not asked.claims]
    failed = [claim.name for claim in measured(wanted, asked.again)]
    page.write()
    print(f"Page: {page.PAGE}")
    if failed:
        print(f"Failed, or did not keep what it claims: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def listed(claims: Sequence[Claim]) -> str:
    """What there is to measure, a line a claim."""
    rows = [("claim", "about", "results", "command")]
    for claim in claims:
        there = "there" if claim.path.is_file() else "-"
        needs = f"   (needs {claim.needs})" if claim.needs else ""
        rows.append((claim.name, _long(60 * claim.minutes), there, f"{claim.command}{needs}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def measured(claims: Sequence[Claim], again: bool) -> Iterator[Claim]:
    """Measure claims.

    Args:
        claims: In this order.
        again: Those too whose results are there.

    Yields:
        Claims whose scripts failed.
    """
    for number, claim in enumerate(claims, 1):
        about = f"[{number}/{len(claims)}] {claim.name}, about {_long(60 * claim.minutes)}"
        if claim.needs:
            print(f"{about}: left out, for it needs {claim.needs}: {claim.command}", flush=True)
        elif claim.path.is_file() and not again:
            print(f"{about}: measured already (--again measures anew)", flush=True)
        else:
            print(f"{about}: {claim.command}", flush=True)
            began = time.monotonic()
            with _set_aside(claim.path):
                code = _run(claim)
            print(f"    {_long(time.monotonic() - began)}, exit code {code}", flush=True)
            if code:
                yield claim


def _run(claim: Claim) -> int:
    command = [sys.executable, "-m", f"benchmarks.{claim.words[0]}", *claim.words[1:]]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode


@contextmanager
def _set_aside(path: Path) -> Iterator[None]:
    """Context: results are measured anew, for most scripts skip what their file holds.

    Those of before come back where nothing was measured, or a person broke it off.
    """
    before = path.with_suffix(".before")
    if path.is_file():
        path.replace(before)
    is_whole = False
    try:
        yield
        is_whole = path.is_file()
    finally:
        if is_whole:
            before.unlink(missing_ok=True)
        elif before.is_file():
            before.replace(path)


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
