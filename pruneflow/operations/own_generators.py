"""Random generators that objects hold for themselves, such as a data set for its augmentation."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

DEPTH = 12
"""How deep attributes and containers are looked into."""

LONG = 100
"""Containers of more parts hold data."""


@contextmanager
def unmoved(*holders: Any) -> Iterator[None]:
    """Context: generators found in attributes and containers come back to where they were."""
    restoring = [_restoring(generator) for generator in _found(holders, set(), DEPTH)]
    try:
        yield
    finally:
        for restore in restoring:
            restore()


def _found(held: Any, seen: set[int], depth: int) -> Iterator[Any]:
    if not depth or id(held) in seen or isinstance(held, type | torch.Tensor | np.ndarray):
        return
    seen.add(id(held))
    if isinstance(held, random.Random | np.random.Generator | np.random.RandomState):
        if not isinstance(held, random.SystemRandom):
            yield held
    elif isinstance(held, torch.Generator):
        yield held
    elif isinstance(held, list | tuple | dict):
        if len(held) <= LONG:
            for part in held.values() if isinstance(held, dict) else held:
                yield from _found(part, seen, depth - 1)
    elif hasattr(held, "__self__"):
        yield from _found(held.__self__, seen, depth - 1)
    elif hasattr(held, "__dict__"):
        for part in list(vars(held).values()):
            yield from _found(part, seen, depth - 1)


def _restoring(generator: Any) -> Callable[[], None]:
    """What puts a generator back to where it is now."""
    if isinstance(generator, random.Random):
        state = generator.getstate()
        return lambda: generator.setstate(state)
    if isinstance(generator, np.random.Generator):
        bits, kept = generator.bit_generator, generator.bit_generator.state
        return lambda: setattr(bits, "state", kept)
    old = generator.get_state()
    return lambda: generator.set_state(old)
