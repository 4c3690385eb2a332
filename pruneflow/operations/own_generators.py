"""Random generators that objects hold for themselves, such as a data set for its augmentation."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

DEPTH = 12
"""How deep attributes and containers are looked into."""

LONG = 100
"""Containers of more parts hold data."""

_KINDS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_EVERYBODYS = (torch.default_generator, np.random.mtrand._rand)
_OPAQUE = (type, ModuleType, torch.Tensor, np.ndarray)


@contextmanager
def unmoved(*holders: Any) -> Iterator[None]:
    """Context: generators found in attributes and containers come back to where they were."""
    generators = found({str(number): holder for number, holder in enumerate(holders)})
    kept = [(generator, state_of(generator)) for generator in generators.values()]
    try:
        yield
    finally:
        for generator, state in kept:
            set_state(generator, state)


def found(holders: Mapping[str, Any], outside: Iterable[Any] = ()) -> dict[str, Any]:
    """Generators in attributes, containers and closures, each once, by the way to it.

    Those of classes, and of the files that classes and functions are written in, as well.

    Args:
        holders: Where to look, by what it is to be called.
        outside: Where not to look.
    """
    seen = {id(each) for each in outside}
    ways = (_found(held, name, seen, DEPTH) for name, held in holders.items())
    return {name: generator for way in ways for name, generator in way}


def state_of(generator: Any) -> Any:
    """Where a generator is, as plain values and tensors."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        version, internal, cached = generator.getstate()
        return [version, list(internal), cached]
    if isinstance(generator, np.random.Generator):
        return _plain(generator.bit_generator.state)
    return _plain(generator.get_state(legacy=False))


def set_state(generator: Any, state: Any) -> None:
    """Put a generator to where ``state_of`` found it.

    Raises:
        TypeError: The state is that of a generator of another kind; or ``ValueError``.
    """
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        version, internal, cached = state
        generator.setstate((version, tuple(internal), cached))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = _arrays(state)
    else:
        generator.set_state(_arrays(state))


def _found(held: Any, name: str, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if not depth or id(held) in seen or isinstance(held, _OPAQUE):
        return
    seen.add(id(held))
    if isinstance(held, _KINDS):
        if not isinstance(held, random.SystemRandom):
            yield name, held
        return
    for inner, part in _parts(held):
        yield from _found(part, f"{name}.{inner}", seen, depth - 1)
    for place, part in _around(held, seen):
        yield from _found(part, place, seen, 1)


def _parts(held: Any) -> list[tuple[str, Any]]:
    """What an object holds, by names that are the same in another process."""
    if isinstance(held, list | tuple):
        return [(str(i), part) for i, part in enumerate(held)] if len(held) <= LONG else []
    if isinstance(held, dict):
        if len(held) > LONG:
            return []
        items = enumerate(held.items())
        return [(key if isinstance(key, str) else str(i), part) for i, (key, part) in items]
    if isinstance(held, partial):
        return [("func", held.func), ("args", held.args), ("keywords", held.keywords)]
    if isinstance(held, FunctionType):
        cells = zip(held.__code__.co_freevars, held.__closure__ or (), strict=True)
        return [(name, part) for name, cell in cells for part in _content(cell)]
    if hasattr(held, "__self__"):
        return [("__self__", held.__self__)]
    return list(vars(held).items()) if hasattr(held, "__dict__") else []


def _around(held: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The generators of an object's classes and of the files where they are written."""
    written = (held,) if isinstance(held, FunctionType) else type(held).__mro__
    for each in written:
        file = sys.modules.get(each.__module__)
        for place, space in (
            (f"{each.__module__}.{each.__qualname__}", each),
            (each.__module__, file),
        ):
            if space is not None and (space is held or id(space) not in seen):
                seen.add(id(space))
                for name, part in list(vars(space).items()):
                    is_one = issubclass(type(part), _KINDS)  # isinstance() runs code of some
                    if is_one and not any(part is own for own in _EVERYBODYS):
                        yield f"{place}.{name}", part


def _content(cell: Any) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not bound yet
        return []


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(part) for key, part in tree.items()}
    return tree.tolist() if isinstance(tree, np.ndarray | np.generic) else tree


def _arrays(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _arrays(part) for key, part in tree.items()}
    return np.array(tree, dtype=np.uint64) if isinstance(tree, list) else tree
