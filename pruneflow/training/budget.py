"""``budget``: what a configuration may say about a search for the sparsest network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruneflow.errors import ConfigError, did_you_mean

KEYS = ("max_drop", "runs")
MOST_RUNS = 30


@dataclass(frozen=True)
class Budget:
    """What a search is asked for.

    Attributes:
        max_drop: Points of accuracy on validation data that may be lost.
        runs: Pruned networks that are tried.
    """

    max_drop: float
    runs: int

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> Budget | None:
        """That of a configuration; None where it asks for no search.

        Raises:
            ConfigError: It says what cannot be.
        """
        settings = settings or {}
        for key in settings:
            if key not in KEYS:
                raise ConfigError(f"budget.{key}: is unknown.{did_you_mean(key, KEYS, True)}")
        drop, runs = settings.get("max_drop"), settings.get("runs", 6)
        if type(runs) is not int or not 1 <= runs <= MOST_RUNS:
            raise ConfigError(f"budget.runs={runs}: needs a whole number from 1 to {MOST_RUNS}")
        if drop is None:
            return None
        if type(drop) not in (int, float) or not 0 <= drop < 100:
            raise ConfigError(
                f"budget.max_drop={drop}: needs points of accuracy (percent) from 0 to below "
                "100, e.g. 0.5"
            )
        return cls(float(drop), runs)
