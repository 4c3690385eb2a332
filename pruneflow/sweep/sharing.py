"""What the jobs of a sweep have in common: how far their plans agree, and what that saves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pruneflow.recipe.plan import Plan
from pruneflow.recipe.prefix import Deed, deeds, parting, partings
from pruneflow.training.config import RunConfig
from pruneflow.training.shared.key import key_of

MOST_TOLD = 4
"""Of more stretches only the first are told one by one."""


@dataclass(frozen=True)
class Stretch:
    """Steps that several jobs take alike.

    Attributes:
        first: The first of them, from 1.
        last: The last of them.
        jobs: How many jobs.
    """

    first: int
    last: int
    jobs: int

    @property
    def saved(self) -> int:
        """Steps that need not be trained."""
        return (self.last - self.first + 1) * (self.jobs - 1)


@dataclass(frozen=True)
class Sharing:
    """What jobs have in common.

    Attributes:
        points: For each job, by the hash of its configuration, the steps up to which another
            one agrees with it.
        stretches: What is trained once for several of them.
        steps: Of all jobs together.
    """

    points: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stretches: tuple[Stretch, ...] = ()
    steps: int = 0

    def __str__(self) -> str:
        """A sentence for people; empty where nothing is shared."""
        if not self.stretches:
            return ""
        counted = Counter(self.stretches)
        told = []
        for stretch, times in list(counted.items())[:MOST_TOLD]:
            how = f"{stretch.first:,} to {stretch.last:,} once for {stretch.jobs:,} jobs"
            told.append(how + (f" ({times} times)" if times > 1 else ""))
        more = ", ..." if len(counted) > MOST_TOLD else ""
        left = self.steps - sum(stretch.saved for stretch in self.stretches)
        return (
            f"Shared work: steps {', '.join(told)}{more}: {left:,} steps instead of "
            f"{self.steps:,} (share=false: each job by itself)"
        )


def sharing(configs: Sequence[RunConfig], plans: Sequence[Plan]) -> Sharing:
    """What jobs have in common that are still to be trained.

    Args:
        configs: What they do.
        plans: What that comes to, step by step.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, config in enumerate(configs):
        is_drawn = config.values["seed"] is not None
        if config.values.get("share", True) and is_drawn and config.processes == 1:
            groups[key_of(config, plans[index])].append(index)
    points: dict[str, tuple[int, ...]] = {}
    stretches: list[Stretch] = []
    for members in groups.values():
        done = [deeds(plans[index]) for index in members]
        for index, steps in zip(members, partings(done), strict=True):
            last = tuple(step - 1 for step in steps if step > 1)
            points[configs[index].digest] = last
        stretches += _stretches(done)
    return Sharing(points, tuple(stretches), sum(plan.total for plan in plans))


def _stretches(plans: Sequence[Sequence[Deed]]) -> Iterator[Stretch]:
    """What several of these plans have in common, those of most jobs first."""
    order = sorted(list(plan) for plan in plans)
    steps = [parting(one, other) for one, other in pairwise(order)]
    pending = [(0, len(order), 0)]
    while pending:
        low, high, since = pending.pop(0)
        inside = [step for step in steps[low : high - 1] if step is not None]
        if not inside:
            continue
        part = min(inside)
        if part - 1 > since:
            yield Stretch(since + 1, part - 1, high - low)
        cuts = [i + 1 for i in range(low, high - 1) if steps[i] == part]
        pending += [(a, b, max(since, part - 1)) for a, b in pairwise([low, *cuts, high])]
