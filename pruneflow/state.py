"""Everything about a run that changes: what a checkpoint holds of PruneFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from pruneflow.errors import ResumeError
from pruneflow.pruning.masks import Masks
from pruneflow.pruning.shards import whole

VERSION = 2

Snapshot = dict[str, Any]


@dataclass
class PruneState:
    """The only mutable state of a recipe's run.

    Attributes:
        clock: Steps done, -1 before the events of step 0 have fired.
        rate_clock: The clock that learning rates run on; rewinding turns it back.
        masks: One tensor of ones and zeros for each weight that has a mask.
        frozen: Weights whose mask is fixed.
        removed: Of parameters that have lost channels for good, how many weights that were.
        gone: Those channels, by group, in the numbers that they had at first.
        scores: What was gathered from gradients, weight by weight, by key and name.
        snapshots: What a rewind restores, by modifier.
        own_rates: The module's own rate of each group of each optimizer at the moment a
            modifier took it over, by modifier.
        unsettled_snapshot: The modifier whose snapshot was taken since the last batch began,
            or the empty string.
        unsettled_rewind: The modifier that has rewound since, or the empty string.
        journal: What has happened, one entry an event.
    """

    clock: int = -1
    rate_clock: int = 0
    masks: Masks = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    removed: dict[str, int] = field(default_factory=dict)
    gone: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    own_rates: dict[str, list[list[float]]] = field(default_factory=dict)
    unsettled_snapshot: str = ""
    unsettled_rewind: str = ""
    journal: list[dict[str, Any]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors; masks as booleans.

        Where processes share out weights all have to call this, and what process 0 gets is whole.
        """
        state = {
            "version": VERSION,
            "clock": self.clock,
            "rate_clock": self.rate_clock,
            "masks": {name: mask.ne(0) for name, mask in self.masks.items()},
            "frozen": sorted(self.frozen),
            "removed": dict(self.removed),
            "gone": {name: list(channels) for name, channels in self.gone.items()},
            "scores": detached_copy(self.scores),
            "snapshots": dict(self.snapshots),
            "own_rates": dict(self.own_rates),
            "unsettled_snapshot": self.unsettled_snapshot,
            "unsettled_rewind": self.unsettled_rewind,
            "journal": [dict(entry) for entry in self.journal],
        }
        whole_state: dict[str, Any] = whole(state)
        return whole_state

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> PruneState:
        """The state that ``state_dict`` described; its masks are still booleans.

        Raises:
            ResumeError: It was written by a version that this one does not know.
        """
        if state.get("version") != VERSION:
            raise ResumeError(
                f"this checkpoint's pruning state has version "
                f"{state.get('version')}; this PruneFlow reads version {VERSION}"
            )
        return cls(
            clock=state["clock"],
            rate_clock=state["rate_clock"],
            masks=dict(state["masks"]),
            frozen=set(state["frozen"]),
            removed=dict(state["removed"]),
            gone={name: list(channels) for name, channels in state["gone"].items()},
            scores=detached_copy(state["scores"]),
            snapshots=dict(state["snapshots"]),
            own_rates=dict(state["own_rates"]),
            unsettled_snapshot=state["unsettled_snapshot"],
            unsettled_rewind=state["unsettled_rewind"],
            journal=list(state["journal"]),
        )


def detached_copy(value: Any) -> Any:
    """A deep copy of nested containers whose tensors share nothing with the originals."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: detached_copy(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [detached_copy(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
