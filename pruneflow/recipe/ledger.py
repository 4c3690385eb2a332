"""Double-entry for zeros: what is known about each layer's mask before training.

Under a global threshold only the total is fixed, and each layer lies between bounds. The ledger
keeps both, and refuses a plan in which a pruned weight would have to come back.
"""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import Layer


class Ledger:
    """Zeros of every layer, exactly or within bounds.

    Args:
        layers: All layers that the recipe gives a mask to.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.size = {layer.name: layer.size for layer in layers}
        self.low = dict.fromkeys(self.size, 0)
        self.high = dict.fromkeys(self.size, 0)
        self._totals: dict[frozenset[str], int | None] = {frozenset([n]): 0 for n in self.size}
        self._granularity: dict[str, Granularity] = {}

    @property
    def zeros(self) -> int | None:
        """Zeros over all layers, or None where they depend on the weights."""
        known = [total for total in self._totals.values() if total is not None]
        return sum(known) if len(known) == len(self._totals) else None

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most zeros over all layers."""
        exact = self.zeros
        if exact is not None:
            return exact, exact
        return sum(self.low.values()), sum(self.high.values())

    def prune(
        self, names: Sequence[str], quota: Quota, granularity: Granularity = UNSTRUCTURED
    ) -> None:
        """Enter a pruning.

        Raises:
            ValueError: Weights would have to grow back, or zeros are where it cannot have them.
        """
        for name in names:
            earlier = self._granularity.get(name, granularity)
            if not granularity.continues(earlier):
                raise ValueError(
                    f"'{name}' has zeros by then that are {earlier}, from which {granularity} "
                    "cannot go on: prune it with one granularity"
                )
            self._granularity[name] = granularity
        inside = frozenset(names)
        self._split(inside)
        for name in names:
            fixed = None if quota.layers is None else quota.layers[name]
            most = quota.caps[name] if fixed is None else fixed
            if most < self.high[name]:
                raise ValueError(
                    f"layer '{name}' may hold {self.high[name]:,} zeros by then, but this allows "
                    f"{most:,}: pruned weights do not grow back"
                )
        before = [t for group, t in self._totals.items() if group <= inside]
        exact_before = sum(t for t in before if t is not None) if None not in before else None
        most_before = sum(self.high[n] for n in names) if exact_before is None else exact_before
        if quota.zeros < most_before:
            raise ValueError(
                f"asks for {quota.zeros:,} zeros where {most_before:,} weights are pruned already: "
                "pruned weights do not grow back (set 'initial_sparsity' to where the ramp begins)"
            )
        self._totals = {g: t for g, t in self._totals.items() if not g <= inside}
        if quota.layers is not None:
            for name in names:
                self.low[name] = self.high[name] = quota.layers[name]
                self._totals[frozenset([name])] = quota.layers[name]
            return
        self._totals[inside] = quota.zeros
        room = sum(quota.caps[n] for n in names)
        floor = sum(self.low[n] for n in names)
        low = {n: max(self.low[n], quota.zeros - (room - quota.caps[n])) for n in names}
        high = {n: min(quota.caps[n], quota.zeros - (floor - self.low[n])) for n in names}
        self.low.update(low)
        self.high.update(high)

    def adopt(self, names: Sequence[str]) -> None:
        """Enter layers whose zeros are taken over from the weights: anything is possible."""
        inside = frozenset(names)
        self._split(inside)
        self._totals = {g: t for g, t in self._totals.items() if not g <= inside}
        for name in names:
            self.high[name] = self.size[name]
        if names:
            self._totals[inside] = None

    def _split(self, inside: frozenset[str]) -> None:
        """Divide totals that reach over the edge of ``inside``; the parts become unknown."""
        for group in [g for g in self._totals if g & inside and not g <= inside]:
            del self._totals[group]
            for part in (group & inside, group - inside):
                fixed = all(self.low[n] == self.high[n] for n in part)
                self._totals[part] = sum(self.low[n] for n in part) if fixed else None
