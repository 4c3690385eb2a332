"""Weights that a module computes from other tensors: weight norm, and torch's parametrizations.

Zeros of a tensor that a weight is computed from are no zeros of the weight, and a row of them
makes weight norm divide by zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

SHOWN = 3
"""So many names are told."""


def computed_weight(
    prefix: str, key: str, modules: Mapping[str, nn.Module]
) -> tuple[str, tuple[str, ...]] | None:
    """What is computed from a parameter: its name, and class names of the module that it is of.

    Args:
        prefix: Name of the module that holds the parameter.
        key: The parameter's name there.
        modules: The network's modules by name.
    """
    module = modules[prefix]
    host, _, last = f".{prefix}".rpartition(".parametrizations.")
    if last and key.startswith("original") and "ParametrizationList" in types_of(module):
        host = host.removeprefix(".")
        return f"{host}.{last}".removeprefix("."), types_of(modules[host])
    stem = key[:-2]
    own = module._parameters
    if key[-2:] in ("_g", "_v") and {f"{stem}_g", f"{stem}_v"} <= own.keys() and stem not in own:
        return f"{prefix}.{stem}".removeprefix("."), types_of(module)
    return None


def types_of(module: nn.Module) -> tuple[str, ...]:
    """Class names of a module, the most derived first."""
    return tuple(cls.__name__ for cls in type(module).__mro__[:-1])


def told(names: Sequence[str]) -> str:
    """A sentence on weights that are left out for being computed."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"left out: {_listed(names[:SHOWN])}{more}, computed from other tensors; to prune that, "
        "take the weight norm or parametrization off first"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
