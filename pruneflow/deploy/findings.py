"""What deploy found out, as the plain data of ``report.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import prod
from typing import Any

from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles import entropy
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choice import DEFAULT
from pruneflow.deploy.engines import kind_of
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.gate import Verdict
from pruneflow.deploy.measure.grid import MARGIN, Outcome
from pruneflow.deploy.measure.timing import speedup
from pruneflow.deploy.network import Layer, Network
from pruneflow.deploy.writing import Written

SCHEMA = "pruneflow.report/1"

_BEYOND_NUMBERS = 1e18
"""An error that large, or none that is finite, is told in words."""


def sizes(written: Written) -> dict[str, Any]:
    """Bytes of the bundle, of the dense network, and of the bound."""
    network, bits = written.network, CODECS[written.values].bits
    packed = set(written.bundle.packed)
    plain = sum(t.nbytes for name, t in network.tensors.items() if name not in packed)
    bound = sum(_bound(network, name, bits) for name in packed)
    return {
        "file": bundles.FILE,
        "bytes": written.bundle.size,
        "dense_bytes": sum(tensor.nbytes for tensor in network.tensors.values()),
        "entropy_bytes": round(bound / 8) + plain,
        "parts": written.bundle.sizes,
    }


def counts(network: Network) -> dict[str, Any]:
    """Parameters, nonzeros, sparsity of the weights, and floating-point operations."""
    weights = [network.tensors[name] for name in network.weights]
    total = sum(weight.numel() for weight in weights)
    kept = sum(int(weight.count_nonzero()) for weight in weights)
    rest = sum(t.numel() for name, t in network.tensors.items() if name not in network.weights)
    sparse = sum(network.flops[layer.name] * _density(network, layer) for layer in network.layers)
    return {
        "sparsity": 1 - kept / total if total else 0.0,
        "nonzeros": kept + rest,
        "parameters": total + rest,
        "flops": {"dense": sum(network.flops.values()), "sparse": round(sparse)},
    }


def layers(written: Written, outcome: Outcome) -> list[dict[str, Any]]:
    """Every layer's size, share of the work, and what runs it fastest in one cell."""
    network, bundle = written.network, written.bundle
    bits = CODECS[written.values].bits
    work = sum(network.flops.values())
    found = []
    for layer in network.layers:
        weight = network.tensors[layer.weight]
        packed = bundle.packed[layer.weight]
        times = outcome.layer_times[layer.name]
        winner = min(times, key=lambda name: times[name], default=DEFAULT)
        found.append(
            {
                "name": layer.name,
                "op": layer.node.op,
                "shape": list(weight.shape),
                "parameters": weight.numel(),
                "nonzeros": int(weight.count_nonzero()),
                "sparsity": 1 - _density(network, layer),
                "flops_share": network.flops[layer.name] / work if work else 0.0,
                "layout": packed.entry.format,
                "bytes": sum(packed.sizes.values()),
                "dense_bytes": weight.nbytes,
                "entropy_bytes": round(_bound(network, layer.weight, bits) / 8),
                "backend": winner,
                "why": _why_layer(winner, times, outcome.cell.batch),
                "times": {name: round(time, 2) for name, time in times.items()},
            }
        )
    return found


def verdict(outcomes: Sequence[Outcome], fixed: str | None, wins_from: float | None,
            absent: Mapping[str, str]) -> dict[str, Any]:  # fmt: skip
    """What runs, and why, in one sentence."""
    kinds = {kind_of(outcome.cell.backend) for outcome in outcomes}
    first = outcomes[0]
    sparse = [o for o in outcomes if kind_of(o.cell.backend) == "sparse"]
    if fixed is not None:
        why = f"'{fixed}' was asked for; {_compared(first)}"
    elif not sparse:
        why = _why_dense(outcomes, wins_from, absent)
    elif len(kinds) == 1:
        best = max(outcomes, key=lambda o: o.speedup)
        why = "; ".join(dict.fromkeys([_compared(first), _compared(best)]))
    else:
        best = max(sparse, key=lambda o: o.speedup)
        dense = [o for o in outcomes if o not in sparse]
        why = f"sparse runs at {_places(sparse)}, dense at {_places(dense)}: {_compared(best)}"
    runs = kinds.pop() if len(kinds) == 1 else "mixed"
    known = None if wins_from is None else {"sparsity": wins_from, "batch": first.cell.batch}
    return {"runs": runs, "why": why, "wins_from": known}


def gate(verdicts: Mapping[str, Verdict], timed: Iterable[str], inputs: int) -> dict[str, Any]:
    """What the comparison with float64 said; an engine that failed is not timed.

    Args:
        verdicts: By engine.
        timed: The engines that may run.
        inputs: How many outputs were compared.
    """
    return {
        "passed": all(verdicts[name].passed for name in timed),
        "reference": "float64",
        "inputs": inputs,
        "engines": {
            name: {"error": verdict.error, "bound": verdict.bound, "passed": verdict.passed}
            for name, verdict in verdicts.items()
            if verdict.error < _BEYOND_NUMBERS
        },
    }


def frame(name: str, source: Mapping[str, Any], goal: str, values: str) -> dict[str, Any]:
    """Which network this is about, and where and when it was measured."""
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "source": dict(source),
        "goal": goal,
        "values": values,
        "device": machine.device(),
        "versions": machine.versions(),
    }


def _bound(network: Network, name: str, bits: int) -> float:
    weight = network.tensors[name]
    return entropy.bound_bits(weight.numel(), int(weight.count_nonzero()), bits)


def _density(network: Network, layer: Layer) -> float:
    weight = network.tensors[layer.weight]
    return int(weight.count_nonzero()) / max(prod(weight.shape), 1)


def _place(outcome: Outcome) -> str:
    threads = f", {outcome.cell.threads} threads" if outcome.cell.threads > 1 else ""
    return f"batch {outcome.cell.batch}{threads}"


def _places(outcomes: Sequence[Outcome]) -> str:
    """Several cells in a few words: ``batch 1 and 16``; threads are named where they are more."""
    batches: dict[int, list[str]] = {}
    for outcome in outcomes:
        batches.setdefault(outcome.cell.threads, []).append(str(outcome.cell.batch))
    return "; ".join(
        f"batch {' and '.join(sizes)}" + (f" with {threads} threads" if threads > 1 else "")
        for threads, sizes in batches.items()
    )


def _compared(outcome: Outcome) -> str:
    chosen, dense = outcome.cell.backend, outcome.best_dense
    if chosen == dense:
        return f"'{dense}' is the fastest dense engine at {_place(outcome)}"
    return (
        f"'{chosen}' is {outcome.speedup:.2f} times as fast as '{dense}', the fastest dense "
        f"engine, at {_place(outcome)}"
    )


def _why_dense(
    outcomes: Sequence[Outcome], wins_from: float | None, absent: Mapping[str, str]
) -> str:
    nearest = max(outcomes, key=_nearest)
    if not _nearest(nearest):
        missing = [f"'{name}': {why}" for name, why in absent.items() if kind_of(name) == "sparse"]
        if not missing:
            return "no sparse engine was tried"
        return f"no sparse engine can run here: {'; '.join(missing)}"
    later = "at no sparsity tried" if wins_from is None else f"from {wins_from:.0%} sparsity on"
    return (
        f"no sparse engine is {MARGIN - 1:.0%} faster than dense: the nearest is "
        f"{_nearest(nearest):.2f} times as fast as '{nearest.best_dense}' at {_place(nearest)}; "
        f"it would win {later} at {_place(outcomes[0])}"
    )


def _nearest(outcome: Outcome) -> float:
    """The best speed-up of a sparse engine in a cell; 0 where there is none."""
    dense = outcome.times[outcome.best_dense]
    sparse = [times for name, times in outcome.times.items() if kind_of(name) == "sparse"]
    return max((speedup(times, dense) for times in sparse), default=0.0)


def _why_layer(winner: str, times: Mapping[str, float], batch: int) -> str:
    others = {name: time for name, time in times.items() if name != winner}
    if not others:
        return "the only one that can run it"
    dense = {name: time for name, time in others.items() if kind_of(name) == "dense"}
    rival = min(dense or others, key=lambda name: others[name])
    return f"{others[rival] / times[winner]:.1f} times as fast as {rival} at batch {batch}"
