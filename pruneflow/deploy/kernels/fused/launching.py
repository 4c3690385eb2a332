"""What is launched for a plan: all of it at once, or phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from pruneflow.deploy.kernels.base import Config
from pruneflow.deploy.kernels.fused.barriers import barriers
from pruneflow.deploy.kernels.fused.kernel import fused_network
from pruneflow.deploy.kernels.fused.plan import Plan
from pruneflow.deploy.kernels.fused.tiles import program
from pruneflow.deploy.kernels.launch import Launch

ALONE: Config = {"PROGRAMS": 1, "SPLIT": 0, "num_warps": 16}
"""One program for each sample, which needs no other."""

MOST_SAMPLES = (1 << 16) - 1
"""Of one launch: more programs do not fit along the second axis of a grid."""

PRODUCTS = 10
"""Of a weight and an input, that one program gets done in a nanosecond; a guess."""
PHASE, BARRIER, LAUNCH = 600, 1000, 1500
"""What a phase, a barrier and a further launch take besides, in nanoseconds; guesses."""


def configs(plan: Plan, batch: int, processors: int) -> Sequence[Config]:
    """What is worth measuring, the best guess first.

    Args:
        plan: What to do.
        batch: Samples.
        processors: Of the GPU; programs that wait for each other have to run at once.
    """
    found = [ALONE, {**ALONE, "num_warps": 8}]
    for programs in (8, 16, 32):
        shared = {"PROGRAMS": programs, "SPLIT": 0, "num_warps": 4}
        found += [shared] if programs * batch <= processors else []
        found.append({**shared, "SPLIT": 1})
    gathers = [numbers for kind, _, numbers, _ in plan.pieces if kind == "gather"]
    work: int = sum(
        width * rows * positions << 2 * halved
        for _, _, _, _, positions, halved, _, _, _, width, _, rows in gathers
    )
    phases = len(plan.phases())

    def guess(config: Config) -> float:
        """Nanoseconds."""
        programs = config["PROGRAMS"]
        waves = max(1.0, programs * batch / processors)
        between = LAUNCH if config["SPLIT"] else BARRIER if programs > 1 else 0
        return waves * work / programs / PRODUCTS + phases * PHASE + (phases - 1) * between

    return sorted(found, key=guess)


def launches(
    plan: Plan,
    parts: Sequence[torch.Tensor],
    x: torch.Tensor,
    y: torch.Tensor,
    config: Config,
) -> Sequence[Launch]:
    """What has to be launched, one after the other.

    Args:
        plan: What to do.
        parts: The weights; values are of the inputs' dtype.
        x: (n, *input_shape); samples that are not contiguous are copied here and now.
        y: (n, *output_shape), contiguous, to be written.
        config: One of ``configs``.
    """
    if len(x) > MOST_SAMPLES:
        shares = zip(x.split(MOST_SAMPLES), y.split(MOST_SAMPLES), strict=True)
        return [launch for share in shares for launch in launches(plan, parts, *share, config)]
    if not len(x):
        return []
    x = x if x[0].is_contiguous() else x.contiguous()
    programs, warps = config["PROGRAMS"], config["num_warps"]
    counters = None
    if programs > 1 and not config["SPLIT"]:
        counters = barriers(x.device, len(x))
        if counters is None:
            return launches(plan, parts, x, y, ALONE)
    places, values, rows, biases = parts
    arguments = {
        "x_ptr": x, "places_ptr": places, "values_ptr": values, "rows_ptr": rows,
        "biases_ptr": biases, "y_ptr": y, "barriers_ptr": counters, "x_sample": x.stride(0),
        "arena_ptr": x.new_empty(max(1, len(x) * plan.arena), dtype=torch.float32),
    }  # fmt: skip
    constants = {
        **program(plan, programs, 32 * warps),
        "PROGRAMS": programs, "INPUT": x[0].numel(), "ARENA": plan.arena,
        "OUTPUT": prod(plan.output), "WEIGHTS": len(values), "ROWS": len(rows),
    }  # fmt: skip
    spans = plan.phases() if config["SPLIT"] else [(0, len(plan.pieces))]
    return [
        Launch(
            fused_network, (programs, len(x)), arguments,
            constants | {"FIRST": first, "LAST": last}, warps, is_cooperative=counters is not None,
        )
        for first, last in spans
    ]  # fmt: skip
