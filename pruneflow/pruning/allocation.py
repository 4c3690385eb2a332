"""How many weights each layer has to give: whole numbers, known before training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, gcd

from pruneflow.pruning.apportionment import Claim, apportion
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
        lamp: Whether the scores of layers compare by LAMP instead of as they are.
    """

    zeros: int
    layers: Mapping[str, int] | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    lamp: bool = False

    @classmethod
    def fixed(cls, layers: Mapping[str, int]) -> Quota:
        """A quota whose every layer is fixed."""
        return cls(sum(layers.values()), dict(layers), dict(layers))

    def remaining(self, removed: Mapping[str, int], zeros: Mapping[str, int]) -> Quota:
        """The quota of those weights that are still there.

        Args:
            removed: Weights of each layer that were taken out of the network.
            zeros: Those of each layer that are there and pruned.

        Raises:
            ValueError: More are gone already than it asks for.
        """
        fixed = self.layers or {}
        gone = {name: removed.get(name, 0) + zeros.get(name, 0) for name in self.caps}
        for name, count in gone.items():
            if count > (most := fixed.get(name, self.caps[name])):
                raise ValueError(f"of '{name}' {count:,} are gone already, and {most:,} may be")
        if sum(gone.values()) > self.zeros:
            raise ValueError(f"{sum(gone.values()):,} are gone already, and {self.zeros:,} may be")
        return replace(
            self,
            zeros=self.zeros - sum(removed.get(name, 0) for name in self.caps),
            layers=self.layers and {n: k - removed.get(n, 0) for n, k in fixed.items()},
            caps={name: cap - removed.get(name, 0) for name, cap in self.caps.items()},
        )

    def of(self, names: Collection[str]) -> Quota:
        """The quota without layers that have nothing left to give."""
        fixed = self.layers and {n: k for n, k in self.layers.items() if n in names}
        return replace(self, layers=fixed, caps={n: c for n, c in self.caps.items() if n in names})

    def each(self, change: Callable[[str, int], int]) -> Quota:
        """The quota of which every number is changed; say, counted in other units.

        Args:
            change: Of a layer's name and one of its numbers; where the layers are not fixed, the
                same for all of them.
        """
        caps = {name: change(name, cap) for name, cap in self.caps.items()}
        if self.layers is None:
            return replace(self, zeros=change(next(iter(caps)), self.zeros), caps=caps)
        layers = {name: change(name, zeros) for name, zeros in self.layers.items()}
        return replace(self, zeros=sum(layers.values()), layers=layers, caps=caps)


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
        sizes = {layer.name: layer.size for layer in layers}
        size = sum(sizes.values())
        spare = max(0, size - ceil(exact(sparsity) * size) - len(layers))
        most = exact(self.max_layer_sparsity)
        caps = {}
        for layer in layers:
            own = sizes[layer.name]
            if self.min_nonzeros is None:  # one weight, and a share of what then is left
                least = min(layer.rows, 1 + spare * own // size)
            else:
                least = ceil(self.min_nonzeros / layer.unit)
            by_share = most.numerator * own // most.denominator
            caps[layer.name] = min(own - min(least, own), by_share)
        return caps


Allocation = Callable[[Sequence[Layer], Sparsity, Guard], Quota]

ALLOCATIONS: Registry[Allocation] = Registry("allocation", "pruneflow.allocations")


@ALLOCATIONS.register("global")
def global_(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """One threshold for all layers together: the lowest scores go, wherever they are."""
    return _one_threshold(layers, _one_number(sparsity, "global"), guard)


@ALLOCATIONS.register("lamp")
def lamp(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """One threshold for all layers together, each score put in proportion to its layer.

    LAMP (Lee et al. 2021, arXiv:2010.07611): with ``magnitude`` what goes costs a layer the least
    of the norm that is left of it.
    """
    return replace(_one_threshold(layers, _one_number(sparsity, "lamp"), guard), lamp=True)


@ALLOCATIONS.register("erk")
def erk(layers: Sequence[Layer], sparsity: Sparsity, guard: Guard) -> Quota:
    """Small layers stay denser: density in proportion to ``sum(shape) / prod(shape)``.

    Erdős-Rényi-Kernel (Evci et al. 2020, arXiv:1911.11134; for linear layers it is Mocanu et al.
    2018, arXiv:1707.04780). A layer that would pass density 1 stays dense, one that the guard
    keeps from its sparsity stops there, and the others make up for it.
    """
    share = _one_number(sparsity, "erk")
    # One weight a layer, whatever the sparsity: were it to move, zeros might have to come back.
    caps = guard.caps(layers, 1.0)
    size = sum(layer.size * layer.unit for layer in layers)
    grain = gcd(*(layer.unit for layer in layers))
    zeros = nearest(exact(share) * size / grain) * grain
    room = sum(caps[layer.name] * layer.unit for layer in layers)
    if zeros > room:
        raise ValueError(
            f"sparsity {share:g} is more than the guard against dead layers "
            f"(max_layer_sparsity, min_nonzeros) allows, {room / size:.6g}"
        )
    claims = [
        Claim(sum(layer.shape), layer.size - caps[layer.name], layer.size, layer.unit)
        for layer in layers
    ]
    kept = apportion(size - zeros, claims)
    return Quota.fixed({layer.name: layer.size - n for layer, n in zip(layers, kept, strict=True)})


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


def _one_threshold(layers: Sequence[Layer], share: float, guard: Guard) -> Quota:
    zeros = nearest(exact(share) * sum(layer.size for layer in layers))
    caps = guard.caps(layers, share)
    if zeros > sum(caps.values()):
        raise ValueError(
            f"sparsity {share:g} asks for {zeros:,} zeros, but the guard against dead layers "
            f"(max_layer_sparsity, min_nonzeros) allows at most {sum(caps.values()):,}"
        )
    return Quota(zeros, None, caps)


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
