"""Measuring one cell: make its engines, judge them, time them in turns, choose one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch

from benchmarks.gpu.cases import Case
from benchmarks.gpu.engine import Engine, Made, Ready, ready, reason
from benchmarks.gpu.layers import LayerCell
from benchmarks.gpu.limits import cost_of, floors, peaks
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.network_cell import NetworkCell
from benchmarks.gpu.results import figure_mode
from benchmarks.gpu.timing import LAYER_MODES, NETWORK_MODES, Samples, summary, timed

WINS_BY = 0.05
"""A kernel is chosen over dense torch where it saves such a share of the time."""

EXPANDED = ("bitmask", "nm")
"""Kernels that make tiles dense where tensor cores multiply them."""

INPUTS, TIMING = "inputs", "timing"
"""What is told to run while inputs are made, and while all engines are timed."""

Tell = Callable[[str], None]


def cell_of(case: Case, machine: Machine) -> LayerCell | NetworkCell:
    """The engines of a case."""
    return LayerCell(case, machine) if case.kind == "layer" else NetworkCell(case, machine)


def measure(
    case: Case, machine: Machine, facts: Mapping[str, Any], seconds: float,
    broken: Mapping[str, str], tell: Tell,
) -> dict[str, Any]:  # fmt: skip
    """One cell of the results.

    Args:
        case: What to measure.
        machine: Where.
        facts: About it.
        seconds: For the configurations of one engine.
        broken: Engines that ended or stopped an earlier try, and how.
        tell: Is told the name of each engine before it runs.
    """
    for stage in (INPUTS, TIMING):
        if stage in broken:
            return {**vars(case), "failed": f"{stage}: {broken[stage]}"}
    tell(INPUTS)
    cell = cell_of(case, machine)
    rows: dict[str, dict[str, Any]] = {}
    going: dict[str, Ready] = {}
    for engine in [*cell.engines(), launch_floor(machine)]:
        rows[engine.name] = {"kind": engine.kind}
        if engine.name in broken:
            rows[engine.name]["failed"] = broken[engine.name]
            continue
        tell(engine.name)
        try:
            going[engine.name] = ready(engine, machine, lambda: cell.right, seconds)
        except Exception as error:
            machine.synchronize()  # raises where the device itself has failed: for the caller
            rows[engine.name]["failed"] = reason(error)
    tell(TIMING)
    modes = LAYER_MODES if case.kind == "layer" else NETWORK_MODES
    runs = {name: one.runs for name, one in going.items()}
    samples = {mode: timed(machine, runs, mode) for mode in modes}
    for name, one in going.items():
        row = rows[name]
        row |= one.facts
        row |= {mode: summary(found[name]) for mode, found in samples.items() if name in found}
        row |= limits_of(name, case, facts, one.made, row)
    chosen = choice(samples, {name: row["kind"] for name, row in rows.items()})
    clock = {"sm_megahertz": machine.clock()}
    return {**vars(case), "rows": rows, **chosen, **clock}


def launch_floor(machine: Machine) -> Engine:
    """A graph of one kernel that writes one number: no graph that does anything is faster."""
    number = torch.zeros(1, device=machine.device)
    return Engine("launch floor", "floor", lambda: Made({"one number": lambda: number.fill_(1)}))


def choice(
    samples: Mapping[str, Mapping[str, Samples]], kinds: Mapping[str, str]
) -> dict[str, Any]:
    """What would be deployed, and how it compares with the best dense engine.

    It is chosen by the medians of every other call; the calls between them judge the choice.
    """

    def medians(first: int) -> dict[str, float]:
        found = {}
        for name in kinds:
            modes = [mode for mode in samples if name in samples[mode]]
            if modes and kinds[name] in ("dense", "ours", "sparse"):
                calls = sorted(samples[figure_mode(modes)][name][first::2])
                found[name] = calls[len(calls) // 2]
        return found

    by, judged = medians(0), medians(1)
    dense = [name for name in by if kinds[name] == "dense"]
    if not dense:
        return {}
    best = min(dense, key=by.__getitem__)
    fastest = min(by, key=by.__getitem__)
    chosen = fastest if by[fastest] < (1 - WINS_BY) * by[best] else best
    least = min(judged[name] for name in dense)
    return {"chosen": chosen, "chosen_to_best_dense": round(judged[chosen] / least, 4)}


def limits_of(
    name: str, case: Case, facts: Mapping[str, Any], made: Made, row: Mapping[str, Any]
) -> dict[str, Any]:
    """What no engine with such a layout can beat, and the share of it that this one reached."""
    if made.moved is None:
        return {}
    cost, multiplied = None, made.stored
    if row["kind"] == "ours":
        cost = cost_of(name, facts.get("arch"), case.dtype, case.batch, facts["triton"])
        if cost and cost.is_tensor and name in EXPANDED:
            multiplied = prod(case.shape)
    device = peaks(facts["device"], facts["copied_bytes_per_second"])
    found = floors(device, case.dtype, made.moved, multiplied, case.batch, cost)
    took = row[figure_mode(row)]["p50"]
    return {"limits": found, "share_of_limit": round(max(found.values()) / took, 4)}
