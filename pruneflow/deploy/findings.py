"""What deploy found out, as the plain data of ``report.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pruneflow.deploy.bundles import bundle as bundles
from pruneflow.deploy.bundles import entropy
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choice import DEFAULT
from pruneflow.deploy.engines import kind_of
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.candidates import Candidates, worst_verdicts
from pruneflow.deploy.measure.grid import Outcome
from pruneflow.deploy.network import Layer, Network
from pruneflow.deploy.place import Place
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
    parameters = sum(tensor.numel() for tensor in network.tensors.values())
    total = sum(network.tensors[name].numel() for name in network.weights)
    kept = sum(network.nonzeros.values())
    sparse = sum(network.flops[layer.name] * _density(network, layer) for layer in network.layers)
    return {
        "sparsity": network.sparsity,
        "nonzeros": parameters - total + kept,
        "parameters": parameters,
        "flops": {"dense": sum(network.flops.values()), "sparse": round(sparse)},
    }


def layers(written: Written, outcome: Outcome) -> list[dict[str, Any]]:
    """Every layer's size, share of the work, and what runs it in one cell.

    What runs it as part of the network need not be what is fastest for it alone: an engine that
    runs the whole network in one call saves the calls between.
    """
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
                "nonzeros": network.nonzeros[layer.weight],
                "sparsity": 1 - _density(network, layer),
                "flops_share": network.flops[layer.name] / work if work else 0.0,
                "layout": packed.entry.format,
                "bytes": sum(packed.sizes.values()),
                "dense_bytes": weight.nbytes,
                "entropy_bytes": round(_bound(network, layer.weight, bits) / 8),
                "backend": outcome.cell.layers.get(layer.name, outcome.cell.backend),
                "fastest_alone": winner,
                "why": _why_layer(winner, times, outcome.cell.batch),
                "times": {name: round(time, 2) for name, time in times.items()},
            }
        )
    return found


def timed(outcomes: Sequence[Outcome]) -> list[str]:
    """The engines that were timed in some cell."""
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.times))


def gate(
    found: list[Candidates], outcomes: Sequence[Outcome], inputs: int, precision: str
) -> dict[str, Any]:
    """What the comparison with the reference said; an engine that failed is not timed.

    Args:
        found: The engines that were checked.
        outcomes: What was timed.
        inputs: How many outputs were compared.
        precision: Of the reference.
    """
    verdicts = worst_verdicts(found)
    return {
        "passed": all(verdicts[name].passed for name in timed(outcomes)),
        "reference": precision,
        "inputs": inputs,
        "engines": {
            name: {"error": verdict.error, "bound": verdict.bound, "passed": verdict.passed}
            for name, verdict in verdicts.items()
            if verdict.error < _BEYOND_NUMBERS
        },
    }


def frame(
    name: str, source: Mapping[str, Any], goal: str, values: str, place: Place
) -> dict[str, Any]:
    """Which network this is about, and where and when it was measured."""
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "source": dict(source),
        "goal": goal,
        "values": values,
        "device": machine.device(place=place),
        "versions": machine.versions(),
    }


def _bound(network: Network, name: str, bits: int) -> float:
    return entropy.bound_bits(network.tensors[name].numel(), network.nonzeros[name], bits)


def _density(network: Network, layer: Layer) -> float:
    return network.nonzeros[layer.weight] / max(network.tensors[layer.weight].numel(), 1)


def _why_layer(winner: str, times: Mapping[str, float], batch: int) -> str:
    if not times:
        return "not timed"
    others = {name: time for name, time in times.items() if name != winner}
    if not others:
        return "the only one that can run it"
    dense = {name: time for name, time in others.items() if kind_of(name) == "dense"}
    rival = min(dense or others, key=lambda name: others[name])
    return f"{others[rival] / times[winner]:.1f} times as fast as {rival} at batch {batch}"
