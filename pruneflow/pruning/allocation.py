"""How many weights each layer has to give: whole numbers, known before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from pruneflow.pruning.scope import Layer, per_pattern
from pruneflow.registry import Registry
from pruneflow.timeline import exact, nearest

Sparsity = float | Mapping[str, float]


@dataclass(frozen=True)
class Quota:
    """The number of zeros that a pruning event leaves.

    Attributes:
        zeros: Zeros over all layers together; exact.
        layers: Zeros of each layer, where the allocation fixes them; else None, and the
            lowest scores of the whole network decide.
        caps: The most zeros each layer may have.
    """

    zeros: int
    layers: Mapping[str, int] | None = None
    caps: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def fixed(cls, layers: Mapping[str, int]) -> Quota:
        """A quota whose every layer is fixed."""
        return cls(sum(layers.values()), dict(layers), dict(layers))

    def each(self, change: Callable[[int], int]) -> Quota:
        """The quota of which every number is changed; say, counted in other units."""
        layers = self.layers and {name: change(zeros) for name, zeros in self.layers.items()}
        caps = {name: change(cap) for name, cap in self.caps.items()}
        return Quota(change(self.zeros), layers, caps)


@dataclass(frozen=True)
class Guard:
    """Keeps layers alive.

    Attributes:
        max_layer_sparsity: No layer becomes sparser than this.
        min_nonzeros: Weights that every layer keeps. None means one for each output unit, or
            the layer's uniform share where that is less, and one weight at least.
    """

    max_layer_sparsity: float = 1.0
    min_nonzeros: int | None = None

    def caps(self, layers: Sequence[Layer], sparsity: float) -> dict[str, int]:
        """The most zeros that each layer may have when the whole is to reach ``sparsity``."""
        size = sum(layer.size for layer in layers)
        spare = max(0, size - ceil(exact(sparsity) * size) - len(layers))
        caps = {}
        for layer in layers:
            least = self.min_nonzeros
            if least is None:  # one weight, and a share of what then is left
                least = min(layer.rows, 1 + spare * layer.size // size)
            by_count = layer.size - min(least, layer.size)
            by_share = int(exact(self.max_layer_sparsity) * layer.size)
            caps[layer.name] = min(by_count, by_share)
        return caps


Allocation = Callable[[Sequence[Layer], Sparsity, Guard], Quota]

ALLOCATIONS: Registry[Allocation] = Registry("allocation", "pruneflow.allocations")


@ALLOCATIONS.register("global")
def global_(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """One threshold for all layers together: the lowest scores go, wherever they are."""
    share = _one_number(sparsity, "global")
    zeros = nearest(exact(share) * sum(layer.size for layer in layers))
    caps = guard.caps(layers, share)
    if zeros > sum(caps.values()):
        raise ValueError(
            f"sparsity {share:g} asks for {zeros:,} zeros, but the guard against dead layers "
            f"(max_layer_sparsity, min_nonzeros) allows at most {sum(caps.values()):,}"
        )
    return Quota(zeros, None, caps)


@ALLOCATIONS.register("uniform")
def uniform(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """The same sparsity in every layer."""
    share = _one_number(sparsity, "uniform")
    return _guarded(layers, {layer.name: share for layer in layers}, guard)


@ALLOCATIONS.register("per_layer")
def per_layer(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """A sparsity for each pattern of layers: ``{default: 0.9, output: 0.5}``."""
    values = sparsity if isinstance(sparsity, Mapping) else {"default": sparsity}
    return _guarded(layers, per_pattern(values, layers), guard)


def spread(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Divide ``total`` in proportion to ``shares``, exactly (largest remainder, then order)."""
    whole = sum(shares.values()) or 1
    parts = {name: total * share // whole for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: -(total * shares[name] % whole))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def _guarded(layers: Sequence[Layer], shares: Mapping[str, float], guard: Guard) -> Quota:
    zeros = {layer.name: nearest(exact(shares[layer.name]) * layer.size) for layer in layers}
    for layer in layers:
        cap = guard.caps([layer], shares[layer.name])[layer.name]
        if zeros[layer.name] > cap:
            raise ValueError(
                f"sparsity {shares[layer.name]:g} leaves {layer.size - zeros[layer.name]} of "
                f"{layer.size:,} weights in '{layer.name}', but the guard against dead layers "
                f"keeps {layer.size - cap}: lower the sparsity, or set max_layer_sparsity or "
                "min_nonzeros"
            )
    return Quota.fixed(zeros)


def _one_number(sparsity: Sparsity, allocation: str) -> float:
    if isinstance(sparsity, Mapping):
        raise ValueError(
            f"allocation '{allocation}' takes one number; "
            "a sparsity for each layer needs 'allocation: per_layer'"
        )
    return sparsity
