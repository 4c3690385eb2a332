"""Rounds of iterative pruning in whole numbers: a fraction of what remains, again and again."""

from __future__ import annotations

from collections.abc import Mapping

from pruneflow.pruning.apportionment import spread
from pruneflow.timeline import exact, nearest


def rounds(
    sizes: Mapping[str, int],
    caps: Mapping[str, int],
    shares: Mapping[str, float],
    most: int,
    goal: int | None = None,
) -> list[dict[str, int]]:
    """Zeros in each layer after every round.

    Args:
        sizes: Weights of each layer.
        caps: The most zeros each layer may have.
        shares: The fraction of its remaining weights that each layer gives in a round, rounded
            to the nearest weight.
        most: The number of rounds; with a ``goal`` there may be fewer.
        goal: Zeros over all layers together at which to stop; the last round takes just what
            is left, from the layers in proportion.

    Raises:
        ValueError: The goal is not reached.
    """
    zeros = dict.fromkeys(sizes, 0)
    done: list[dict[str, int]] = []
    while len(done) < most:
        step = {}
        for name, size in sizes.items():
            wanted = nearest(exact(shares[name]) * (size - zeros[name]))
            step[name] = max(0, min(wanted, caps[name] - zeros[name]))
        reached = goal is not None and sum(zeros.values()) + sum(step.values()) >= goal
        if reached and goal is not None:
            step = spread(goal - sum(zeros.values()), step)
        elif goal is not None and not any(step.values()):
            break
        zeros = {name: zeros[name] + step[name] for name in sizes}
        done.append(zeros)
        if reached:
            return done
    if goal is not None:
        raise ValueError(f"is not reached after {len(done)} rounds")
    return done
