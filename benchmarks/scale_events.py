"""One process of ``benchmarks.scale``: what a pruning event costs at one number of parameters."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.utils.prune as torch_prune
from torch import nn

from pruneflow.engine import Engine
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.scoring import streams
from pruneflow.pruning.threshold import select
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.timeline import Horizon

LARGEST_LAYER = 25_000_000
SPARSITY = 0.8
TURNS = 3
TORCH_FITS = 100_000_000
"""Parameters up to which torch's own has the memory it needs, some thirteen times theirs."""


def shapes(size: int) -> Iterator[tuple[int, int]]:
    """Nearly square layers of so many weights together, or a few less."""
    while size:
        part = min(size, LARGEST_LAYER)
        side = int(part**0.5)
        yield side, part // side
        size -= part


def network(size: int, device: str = "cpu") -> nn.Sequential:
    """Linear layers without biases; on the CPU with random weights, wider from layer to layer."""
    layers = []
    for number, (rows, columns) in enumerate(shapes(size), 1):
        layer = nn.Linear(columns, rows, bias=False, device="meta")
        if device == "cpu":
            layer = layer.to_empty(device="cpu")
            nn.init.normal_(layer.weight, 0, 0.02 * number, torch.Generator().manual_seed(number))
        layers.append(layer)
    return nn.Sequential(*layers)


def engine(model: nn.Module, events: int) -> Engine:
    """Prunes at so many steps from the first on, by one threshold, up to the final sparsity."""
    ramp = {"type": "prune", "start": "1st", "sparsity": SPARSITY}
    if events > 1:
        ramp |= {"end": f"{events}st", "every": "1st", "initial_sparsity": 0.5}
    recipe = schema.build({"modifiers": {"prune": ramp}})
    return Engine(compile_for(recipe, model, Horizon(1, events)), model, ())


def cell(size: int, turns: int = TURNS, against_torch: bool | None = None) -> dict[str, Any]:
    """Times in seconds of this process, best of some turns; memory in parts of the parameters'.

    Args:
        size: Number of parameters, about.
        turns: How often everything is done, one after the other.
        against_torch: Whether ``torch.nn.utils.prune.global_unstructured`` takes part; by
            default if it fits.
    """
    torch.set_num_threads(1)
    model = network(size)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    size = sum(weight.numel() for weight in weights.values())
    bytes_ = 4 * size
    quota = Quota(round(SPARSITY * size), None, {n: w.numel() for n, w in weights.items()})
    if against_torch is None:
        against_torch = size <= TORCH_FITS

    def ours() -> int:
        how = CRITERIA["magnitude"]
        marks = select(streams(weights, {}, how, lambda name: torch.Generator()), quota)
        return sum(int(mark.count_nonzero()) for mark in marks.values())

    def torchs() -> int:
        layers = [nn.Linear(1, 1, bias=False) for _ in weights]
        for layer, weight in zip(layers, weights.values(), strict=True):
            layer.weight = nn.Parameter(weight)
        pairs = [(layer, "weight") for layer in layers]
        torch_prune.global_unstructured(pairs, torch_prune.L1Unstructured, amount=quota.zeros)
        return sum(layer.weight_mask.numel() - int(layer.weight_mask.sum()) for layer in layers)

    runs = {"threshold": ours} | ({"torch": torchs} if against_torch else {})
    times: dict[str, list[float]] = {name: [] for name in runs}
    extra: dict[str, float] = {}
    for _ in range(turns):
        for name, run in runs.items():
            seconds, peak, zeros = spent(run)
            assert zeros == quota.zeros or name == "torch"  # which sums booleans in floats
            times[name].append(round(seconds, 4))
            extra.setdefault(name, round(peak / bytes_, 3))
    pruning = engine(model, turns + 1)
    pruning.advance(0)
    events = [spent(lambda step=step: pruning.advance(step)) for step in range(1, turns + 2)]
    kept = sum(mask.numel() * mask.element_size() for mask in pruning.state.masks.values())
    assert pruning.nonzeros == size - quota.zeros
    return {
        "parameters": size,
        "seconds": {name: min(found) for name, found in times.items()},
        "turns": times,
        "extra": extra,
        "event_seconds": {
            "first": round(events[0][0], 4),
            "later": round(min(seconds for seconds, _, _ in events[1:]), 4),
        },
        "event_extra": {
            "first": round((events[0][1] - kept) / bytes_, 3),
            "later": round(max(peak for _, peak, _ in events[1:]) / bytes_, 3),
        },
        "masks": round(kept / bytes_, 3),
        "load": float(Path("/proc/loadavg").read_text().split()[0]),
    }


def spent(work: Callable[[], Any]) -> tuple[float, int, Any]:
    """Seconds of this process, the bytes by which its memory grew at most, and what came of it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    began = time.process_time()
    result = work()
    return time.process_time() - began, _status("VmHWM") - before, result


def _status(key: str) -> int:
    """Bytes, as Linux counts them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    import json

    print(json.dumps(cell(int(sys.argv[1]))))
