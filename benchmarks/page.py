"""The page of all results, made from the files in ``results/`` and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims import CLAIMS, Claim
from benchmarks.measured import RESULTS
from pruneflow import runfolder

PAGE = RESULTS / "README.md"
HEAD = """\
# What was measured

`python -m benchmarks` measures what is not measured yet, claim after claim, and writes this page;
`python -m benchmarks --list` names the claims, `--again` measures anew, and
`python -m benchmarks page` only writes the page. It is made from the `.json` files beside it, where
every turn stands. Losses stay in. One thread unless it says otherwise; a spread is
the median (least - greatest). Times are CPU time unless it says otherwise, since machines are
rarely idle; even so a busy one is slower, which the load tells.

Campaigns of the tests, which try to break things instead of timing them, are commands of their own:
`python -m benchmarks.faults`, `python -m benchmarks.mutation`, `python -m tests.bad_input`."""


def write(claims: Sequence[Claim] = CLAIMS, path: Path = PAGE) -> None:
    """Write the page."""
    runfolder.write_bytes(path, text(claims).encode())


def text(claims: Sequence[Claim] = CLAIMS) -> str:
    """The page: a chapter a claim."""
    return "\n\n".join([HEAD, *("\n\n".join(chapter(claim)) for claim in claims)]) + "\n"


def chapter(claim: Claim) -> Iterator[str]:
    """Its paragraphs: the question, how it was measured, the tables, and where."""
    yield f"## {claim.title}"
    yield f"{claim.how} `{claim.command}`"
    if not claim.path.is_file():
        yield f"Not measured yet{f'; it needs {claim.needs}' if claim.needs else ''}."
        return
    results = runfolder.read_json(claim.path)
    yield re.sub(r"^(#+) ", r"#\1 ", claim.table(results), flags=re.MULTILINE)
    yield where(results)


def where(results: Mapping[str, Any]) -> str:
    """On which machine, how busy, and with which versions."""
    device, versions = results.get("device", {}), results.get("versions", {})
    told = []
    if device:
        told.append(f"{device['cpu']}, {device['cores']} cores, {device['system']}")
        told.append(f"load {device['load'][0]:.1f} at the end")
    told += [f"{key} {value}" for key, value in results.get("machine", {}).items()]
    told += [f"{name} {version}" for name, version in versions.items() if name != "pruneflow"]
    told += [f"{key} {results[key]}" for key in ("platform", "python", "threads") if key in results]
    return f"Measured on: {'; '.join(told) or 'a machine that was not noted down'}."
