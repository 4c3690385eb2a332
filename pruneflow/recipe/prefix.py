"""What a plan does, step by step, in words by which plans are compared: where two runs part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from pruneflow.modifiers.base import Modifier
from pruneflow.modifiers.duties import Duty, Gathering, RateSpan
from pruneflow.modifiers.events import Event
from pruneflow.pruning.allocation import Quota
from pruneflow.recipe.declaration import to_dict
from pruneflow.recipe.plan import Plan

MAX_RATES = 200_000
"""In longer runs rates are compared by what the recipe says of them, not step by step."""

MAX_CHANGES = 2_000
PROBES = (1.0, 0.3141592653589793)
"""Rates of a module's own with which a ``lr`` is asked for its rates."""

Deed = tuple[int, str]
"""A step, and a hash of what begins, happens or ends there."""


def deeds(plan: Plan) -> list[Deed]:
    """All that a plan does, in its order; the last one is the end of the run.

    A run depends on its plan, until the update that begins at step ``s`` and without it, by the
    deeds of steps up to ``s`` alone. Where it is not known whether something depends on a
    later step, that stands with an earlier one: plans may part late in truth, and early here.
    """
    found: list[tuple[int, int, Any]] = []
    first: dict[str, int] = {}
    for event in plan.events:
        first[event.modifier] = min(event.step, first.get(event.modifier, event.step))
        found.append((event.step, 1, _of_event(event)))
    for duty in plan.duties:
        if not isinstance(duty, RateSpan):  # they run on a clock of their own
            first[duty.modifier] = min(duty.start, first.get(duty.modifier, duty.start))
        found += [(step, 2, words) for step, words in _of_duty(duty)]
    found += [(rewind.step, 3, ["rate", rewind.clock]) for rewind in plan.rate_rewinds]
    for step, name, words in _rates(plan):
        if name is not None:
            first[name] = min(step, first.get(name, step))
        found.append((step, 4, words))
    for name, step in first.items():
        found.append((step, 0, _declared(plan.recipe.modifiers[name])))
    found.sort(key=lambda deed: deed[:2])  # what falls together stays in the order of the plan
    return [*((step, _hash(words)) for step, _, words in found), (plan.total, "end")]


def prefix_hash(done: Sequence[Deed], step: int) -> str:
    """A hash of what a run depends on until the update that begins at a step."""
    return _hash([deed for deed in done if deed[0] <= step])


def parting(one: Sequence[Deed], other: Sequence[Deed]) -> int | None:
    """The first step at which two plans differ; None where they are the same."""
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return min(mine[0], theirs[0])
    return None  # each ends with its end


def partings(plans: Sequence[Sequence[Deed]]) -> list[list[int]]:
    """For each of several plans the steps at which others part from it, ascending."""
    order = sorted(range(len(plans)), key=lambda index: list(plans[index]))
    steps = [parting(plans[a], plans[b]) for a, b in pairwise(order)]
    found: list[set[int]] = [set() for _ in plans]
    for sign, places in ((1, range(len(order))), (-1, range(len(order) - 1, -1, -1))):
        for place in places:
            nearest: int | None = None
            edges = steps[place:] if sign > 0 else steps[:place][::-1]
            for step in edges:
                if step is not None:
                    nearest = step if nearest is None else min(nearest, step)
                    found[order[place]].add(nearest)
    return [sorted(each) for each in found]


def _of_event(event: Event) -> list[Any]:
    return [
        event.modifier,
        event.action,
        event.layers,
        _of_quota(event.quota),
        "" if event.changes_masks else event.label,  # theirs count rounds, for people
        event.last,
        str(event.granularity),
        event.share,
        _of_quota(event.channels),
    ]


def _of_quota(quota: Quota | None) -> list[Any] | None:
    return None if quota is None else [quota.zeros, quota.layers, quota.caps, quota.lamp]


def _of_duty(duty: Duty) -> Iterator[tuple[int, list[Any]]]:
    kind = type(duty).__name__
    if isinstance(duty, RateSpan):
        return
    if not isinstance(duty, Gathering):
        yield duty.start, [duty.modifier, kind, duty.start, duty.end]
        return
    words = [duty.modifier, kind, duty.key, duty.layers]
    yield duty.start, [*words, duty.at is None]
    for step in sorted(duty.at or ()):
        yield step, [*words, "gathers"]
    yield duty.end, [*words, "ends"]


def _rates(plan: Plan) -> Iterator[tuple[int, str | None, list[Any]]]:
    """Where the rate is another than before, who owns it, and what it is."""
    if not plan.rate_spans:
        return
    changes: list[tuple[int, str | None, list[Any]]] = []
    before: list[Any] = []
    for step in range(min(plan.total, MAX_RATES + 1)):
        clock = plan.rate_clock(step)
        span = next((span for span in plan.rate_spans if span.covers(clock)), None)
        now = [] if span is None else [span.modifier, *(span.rate(clock, own) for own in PROBES)]
        if now != before:
            changes.append((step, None if span is None else span.modifier, now))
            before = now
        if len(changes) > MAX_CHANGES or step == MAX_RATES:
            at = changes[0][0] if changes else 0
            yield from ((at, s.modifier, [s.modifier, s.start, s.end]) for s in plan.rate_spans)
            return
    yield from changes


def _declared(modifier: Modifier) -> dict[str, Any]:
    """What a modifier says, without what its events and duties say already."""
    tree = to_dict(modifier)
    return {"name": modifier.name} | {k: v for k, v in tree.items() if k not in modifier.resolved}


def _hash(words: Any) -> str:
    return hashlib.sha256(json.dumps(words, default=str).encode()).hexdigest()[:16]
