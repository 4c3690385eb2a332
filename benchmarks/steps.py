"""What pruning costs while a network trains: a step, and a whole fit, against plain ones.

    python -m benchmarks.steps                        what is not measured yet
    python -m benchmarks.steps mlp_10m adam           some of the cells anew
    python -m benchmarks.steps --quick                a small trial that writes nothing

A step is one of a masked network whose masks are frozen, 90 % sparse. Every side (plain PyTorch
twice, PruneFlow's engine as the callback uses it, ``pruneflow.prune`` in a plain loop, masks by
hand after the step, ``torch.nn.utils.prune``, ``parametrize``) has its own copy of the network;
they take turns in one process, on one thread, in an order shuffled anew each turn. A fit is one of
Lightning: the first of four epochs is dense, then 90 % go, at once. Ratios are those of CPU times
in one turn; their median and quartiles are told. ``plain again`` is what the clock makes of no
difference at all. Results go to benchmarks/results/steps.json, cell by cell.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import steps_fits, steps_sides
from pruneflow import runfolder
from pruneflow.deploy.measure import machine

RESULT = Path(__file__).parent / "results" / "steps.json"

ALLOWED = 1.03
"""Times plain, for PruneFlow."""

FITS = (("resnet20", "sgd"), ("mlp_10m", "sgd"), ("mlp_10m", "adam"))
TURNS = {"steps": 60, "fits": 7}
BUSY = 0.5
"""Processes beside ours, on average, from which on a machine is not quiet."""


def main() -> int:
    """Measure what is missing, or what is asked for, and write it down after every cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="kinds, networks, optimizers: of these cells")
    parser.add_argument("--quick", action="store_true", help="a small trial that writes nothing")
    parser.add_argument("--turns", type=int, default=0, help="of each cell, in place of its own")
    asked = parser.parse_args()
    turns = 3 if asked.quick else asked.turns
    known = runfolder.read_json(RESULT) if RESULT.is_file() and not asked.quick else {}
    cells: list[dict[str, Any]] = known.get("cells", [])
    for case in list(_wanted(cells, asked.words, asked.quick)):
        cells = [cell for cell in cells if _case(cell) != case] + [
            measured(*case, turns, asked.quick)
        ]
        cells.sort(key=lambda cell: _every().index(_case(cell)))
        if not asked.quick:
            runfolder.write_json(RESULT, told(cells))
    print(table(told(cells)))
    return 0 if asked.quick or all(cell["reached"] for cell in cells) else 1


def measured(
    kind: str, network: str, optimizer: str, turns: int = 0, quick: bool = False
) -> dict[str, Any]:
    """One cell: medians, quartiles, and ratios to plain."""
    turns = turns or TURNS[kind]
    before = _others()
    if kind == "fits":
        found = steps_fits.cell(network, optimizer, turns, 4 if quick else 0)
    else:
        found = steps_sides.cell(network, optimizer, turns)
    load = max(before, _others())
    cpu, wall = found.pop("cpu"), found.pop("wall")
    sides = {
        side: {
            "cpu_seconds": _spread(cpu[side]),
            "wall_seconds": _spread(wall[side]),
            "cpu_ratio": _ratio(cpu[side], cpu["plain"]),
            "wall_ratio": _ratio(wall[side], wall["plain"]),
        }
        for side in cpu
    }
    ours = sides["RecipeCallback" if kind == "fits" else "PruneFlow"]["cpu_ratio"]["median"]
    reached = ours <= ALLOWED
    if kind == "fits":
        reached = reached and ours < sides["ModelPruning"]["cpu_ratio"]["median"]
    print(f"{kind} {network} {optimizer}: {ours:.3f}x plain, other load {load:.1f}", flush=True)
    return {
        "kind": kind,
        "network": network,
        "optimizer": optimizer,
        **found,
        "turns": turns,
        "other_load": load,
        "busy": load > BUSY,
        "allowed": ALLOWED,
        "reached": reached,
        "sides": sides,
    }


def told(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cells so far, and the machine."""
    return {
        "what": "seconds of a step, and of a fit; ratios to plain in the same turn; one thread",
        "cells": cells,
        "device": machine.device(compiles=False),
        "versions": machine.versions(),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    cells = results["cells"]
    lines = []
    for kind, title in (("steps", "a step, 90 % frozen zeros"), ("fits", "a whole fit")):
        chosen = [cell for cell in cells if cell["kind"] == kind]
        if not chosen:
            continue
        names = [side for side in chosen[0]["sides"] if side != "plain"]
        lines += [
            f"| {title} | batch | plain, ms | {' | '.join(names)} |",
            "|---" * (3 + len(names)) + "|",
        ]
        lines += [_row(cell, names) for cell in chosen]
        lines.append("")
    lines.append("CPU time as a multiple of plain's in the same turn: median [quartiles].")
    if busy := [cell["other_load"] for cell in cells if cell["busy"]]:
        lines.append(
            f"The machine was busy: {len(busy)} of {len(cells)} cells were measured beside "
            f"{min(busy):.1f} to {max(busy):.1f} other processes on "
            f"{results['device']['cores']} cores."
        )
    missed = [" ".join(_case(cell)) for cell in cells if not cell["reached"]]
    if missed:
        lines.append(f"Not reached ({ALLOWED}x, and below ModelPruning): {', '.join(missed)}.")
    return "\n".join(lines)


def _row(cell: Mapping[str, Any], names: Sequence[str]) -> str:
    shown = []
    for name in names:
        ratio = cell["sides"][name]["cpu_ratio"]
        shown.append(f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]")
    plain = 1000 * cell["sides"]["plain"]["cpu_seconds"]["median"]
    words = [f"{cell['network']}, {cell['optimizer']}", str(cell["batch"]), f"{plain:.4g}", *shown]
    return f"| {' | '.join(words)} |"


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high, "best": min(seconds)}


def _ratio(seconds: Sequence[float], plain: Sequence[float]) -> dict[str, float]:
    pairs = zip(seconds, plain, strict=True)
    found = _spread([one / other for one, other in pairs])
    return {**found, "best": min(seconds) / min(plain)}


def _every() -> list[tuple[str, str, str]]:
    steps = [
        ("steps", network, optimizer)
        for network in steps_sides.NETWORKS
        for optimizer in steps_sides.SETTINGS
    ]
    return [*steps, *(("fits", *fit) for fit in FITS)]


def _case(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    return cell["kind"], cell["network"], cell["optimizer"]


def _wanted(
    cells: Sequence[Mapping[str, Any]], words: Sequence[str], quick: bool
) -> Iterator[tuple[str, str, str]]:
    """The cells to measure: those asked for, or those that are not there."""
    known = [_case(cell) for cell in cells]
    for case in _every():
        if words:
            if set(words) <= set(case):
                yield case
        elif quick:
            if case in (("steps", "lenet_300_100", "adam"), ("fits", "resnet20", "sgd")):
                yield case
        elif case not in known:
            yield case


def _others() -> float:
    """The load of the last minute, without ours."""
    return max(os.getloadavg()[0] - 1, 0.0)


if __name__ == "__main__":
    raise SystemExit(main())
