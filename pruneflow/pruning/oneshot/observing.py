"""What layers are given while a network runs over calibration batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import torch
from torch import nn

from pruneflow.errors import NonFiniteError, TrainingError
from pruneflow.pruning.oneshot.calibration import Calibration
from pruneflow.pruning.oneshot.matrices import Product, input_rows
from pruneflow.pruning.oneshot.undisturbed import undisturbed

Moment = Callable[[torch.Tensor], torch.Tensor]
"""Turns rows of inputs (groups, rows, columns) into something that adds up over rows."""


def squares(rows: torch.Tensor) -> torch.Tensor:
    """Sum of squares of every column: (groups, columns)."""
    return rows.square().sum(1)


def gram(rows: torch.Tensor) -> torch.Tensor:
    """Products of all columns with each other, X^T X: (groups, columns, columns)."""
    return rows.mT @ rows


def observe(model: nn.Module, name: str, calibration: Calibration, moment: Moment) -> torch.Tensor:
    """A moment of all inputs that the layers of one weight are given, in double precision.

    Raises:
        TrainingError: No batch reaches the layer.
        NonFiniteError: The inputs are NaN or infinite.
    """
    total: torch.Tensor | None = None

    def add(product: Product, inputs: torch.Tensor) -> None:
        nonlocal total
        for rows in input_rows(product, inputs):
            total = moment(rows) if total is None else total.add_(moment(rows))

    with _watched(model, products(model, name), add):
        for batch in calibration.batches():
            calibration.forward(model, batch)
    if total is None:
        raise _unreached([name])
    if not bool(torch.isfinite(total).all()):
        raise NonFiniteError(f"the inputs of '{name}' are NaN or infinite on calibration batches")
    return total


def order_of_calls(model: nn.Module, names: Sequence[str], calibration: Calibration) -> list[str]:
    """The weights in the order in which the network first uses them.

    Raises:
        TrainingError: No batch reaches one of the layers.
    """
    holders = {id(product): name for name in names for product in products(model, name)}
    found: dict[str, None] = {}

    def note(product: Product, inputs: torch.Tensor) -> None:
        found.setdefault(holders[id(product)])

    every = [product for name in names for product in products(model, name)]
    with _watched(model, every, note):
        for batch in calibration.batches():
            calibration.forward(model, batch)
            if len(found) == len(names):
                return list(found)
    raise _unreached([name for name in names if name not in found])


def products(model: nn.Module, name: str) -> list[Product]:
    """The layers that multiply by a weight; several where they share it.

    Raises:
        TrainingError: Something else uses the weight.
    """
    weight = model.get_parameter(name)
    holders = []
    for module in model.modules():
        for key, parameter in module.named_parameters(recurse=False):
            if parameter is weight:
                if key != "weight" or not isinstance(module, get_args(Product)):
                    raise TrainingError(
                        f"'{name}' is the {key} of a {type(module).__name__}, whose inputs no "
                        "matrix multiplies: ignore the layer, or choose another criterion"
                    )
                holders.append(module)
    return holders


@contextmanager
def _watched(
    model: nn.Module, watched: Sequence[Product], see: Callable[[Product, torch.Tensor], None]
) -> Iterator[None]:
    """Call ``see`` with each layer and its input before the layer runs."""

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        see(module, args[0] if args else kwargs["input"])

    handles = []
    try:
        for module in watched:
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        with undisturbed(model), torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


def _unreached(names: Sequence[str]) -> TrainingError:
    quoted = ", ".join(f"'{name}'" for name in names)
    return TrainingError(
        f"no calibration batch reaches {quoted}: the network's forward does not call what holds "
        "it (or there are no batches). Ignore the layer, or choose another criterion"
    )
