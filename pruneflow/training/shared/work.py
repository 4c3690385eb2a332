"""What a run takes from others that were the same so far, and what it keeps for them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pruneflow.training.csv_log import Row


@dataclass(frozen=True)
class Common:
    """What a run's sweep knows of the work that its jobs have in common.

    Attributes:
        points: The steps up to which another job agrees with this one; None where they are not
            known: then it is the training before masks first change that others may need.
        folder: Where such work is kept; None for where all runs keep it.
    """

    points: tuple[int, ...] | None = ()
    folder: Path | None = None


ALONE = Common()


@dataclass
class Work:
    """A run's part in shared work.

    Attributes:
        checkpoint: What it begins from, if anything.
        taken: What it went on from, for ``result.json``; empty where it began by itself.
        rows: Metrics up to there.
        places: Where it keeps what others will go on from, by the step up to which they agree.
        claims: What keeps others from training up to there, too.
        about: What is told of it there.
    """

    checkpoint: Path | None
    taken: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    places: dict[int, Path] = field(default_factory=dict)
    claims: dict[Path, ExitStack] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """CPU time that others have spent on it."""
        return float(self.taken.get("cpu_seconds", 0.0))

    def let_go(self, place: Path) -> None:
        """Nobody is to wait for it any more: it is there, or will not be."""
        if place in self.claims:
            self.claims.pop(place).close()
