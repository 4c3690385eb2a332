"""Double-entry for zeros: what is known about each layer's mask before training.

Under a global threshold only the total is fixed, and each layer lies between bounds. The ledger
keeps both, and refuses a plan in which a pruned weight would have to come back.
"""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.modifiers.events import Event
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.channel_counts import ChannelCounts


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
        self._patterns: dict[str, Granularity] = {}  # that a layer's zeros have, whatever follows
        self._channels = ChannelCounts(layers)
        self._open: set[str] = set()  # layers whose zeros follow from channels that weights choose

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

    def enter(self, event: Event) -> None:
        """Enter an event that changes masks.

        Raises:
            ValueError: Weights would have to grow back, or zeros are where it cannot have them.
        """
        if event.action == "grow":
            assert event.quota is not None
            if shrunk := next(filter(self._channels.shrinks, event.layers), None):
                raise ValueError(f"what was removed of '{shrunk}' by then cannot grow back")
            self._forget(event.layers)
        if event.action == "regrow":
            for name in event.layers:
                if name in self._patterns:
                    kind = self._patterns[name]
                    text = f"exchanges single weights, but the zeros of '{name}' are {kind}"
                    raise ValueError(text)
        if event.quota is not None:
            self.prune(event.layers, event.quota, event.granularity)
        if event.channels is not None:
            self._continue(event.layers, event.granularity)
            self._channels.prune(event.groups, event.channels)
            for name in event.layers:
                self._set(name, *self._channels.zeros(name))
        if event.action == "shrink":
            self._shrink(event)

    def prune(
        self, names: Sequence[str], quota: Quota, granularity: Granularity = UNSTRUCTURED
    ) -> None:
        """Enter a pruning.

        Raises:
            ValueError: Weights would have to grow back, or zeros are where it cannot have them.
        """
        self._continue(names, granularity)
        inside = frozenset(names)
        self._split(inside)
        for name in names:
            fixed = None if quota.layers is None else quota.layers[name]
            most = quota.caps[name] if fixed is None else fixed
            if most < (held := self._certain(name)):
                raise ValueError(
                    f"layer '{name}' may hold {held:,} zeros by then, but this allows "
                    f"{most:,}: pruned weights do not grow back"
                )
        before = [t for group, t in self._totals.items() if group <= inside]
        exact_before = sum(t for t in before if t is not None) if None not in before else None
        most_before = sum(map(self._certain, names)) if exact_before is None else exact_before
        if quota.zeros < most_before:
            raise ValueError(
                f"asks for {quota.zeros:,} zeros where {most_before:,} weights are pruned already: "
                "pruned weights do not grow back (a ramp of 'prune' begins at 'initial_sparsity')"
            )
        self._totals = {g: t for g, t in self._totals.items() if not g <= inside}
        self._open.difference_update(names)
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

    def _forget(self, names: Sequence[str]) -> None:
        """Begin anew with layers that weights grow back in."""
        self._split(frozenset(names))
        self._totals = {g: t for g, t in self._totals.items() if not g <= frozenset(names)}
        for name in names:
            self.low[name] = self.high[name] = 0
            self._totals[frozenset([name])] = 0
            self._granularity.pop(name, None)
            self._patterns.pop(name, None)

    def _continue(self, names: Sequence[str], granularity: Granularity) -> None:
        """Make sure that a granularity can go on from what is there.

        Raises:
            ValueError: It cannot.
        """
        for name in names:
            earlier = self._granularity.get(name, granularity)
            if not granularity.continues(earlier):
                raise ValueError(
                    f"'{name}' has zeros by then that are {earlier}, from which {granularity} "
                    "cannot go on: prune it with one granularity"
                )
            divides = granularity != UNSTRUCTURED and not granularity.by_group
            if divides and self._channels.shrinks(name):
                raise ValueError(f"'{name}' is smaller by then, and {granularity} may not fit")
            self._granularity[name] = granularity
            if granularity != UNSTRUCTURED:
                self._patterns[name] = granularity

    def _shrink(self, event: Event) -> None:
        """Enter a removal: what is removed counts as zeros."""
        whole = [name for name, kind in self._granularity.items() if kind.by_group]
        before = {name: self._channels.lost(name)[1] for name in self.size}
        self._channels.shrink(event.groups, self.high, whole)
        for name in self.size:
            few, many = self._channels.lost(name)[1]
            if name in whole:
                self._set(name, *self._channels.zeros(name))
            elif many > before[name][1]:
                column = self._channels.column(name)
                more = (many - before[name][0]) * column
                high = min(self.size[name], self.high[name] + more)
                self._set(name, max(self.low[name], few * column), high)

    def _set(self, name: str, low: int, high: int) -> None:
        """Enter what channels make of a layer."""
        self._split(frozenset([name]))
        self._totals[frozenset([name])] = low if low == high else None
        self.low[name], self.high[name] = low, high
        if low < high:
            self._open.add(name)

    def _certain(self, name: str) -> int:
        """Zeros that a layer has to have room for: where a run will tell, only those it must."""
        return self.low[name] if name in self._open else self.high[name]

    def _split(self, inside: frozenset[str]) -> None:
        """Divide totals that reach over the edge of ``inside``; the parts become unknown."""
        for group in [g for g in self._totals if g & inside and not g <= inside]:
            del self._totals[group]
            for part in (group & inside, group - inside):
                fixed = all(self.low[n] == self.high[n] for n in part)
                self._totals[part] = sum(self.low[n] for n in part) if fixed else None
