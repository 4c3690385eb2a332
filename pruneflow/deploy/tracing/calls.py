"""A call of an ATen operation as a rule sees it, and the steps the rule makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from pruneflow.deploy.graphs.ops import Value
from pruneflow.errors import DeployError


class UnsupportedGraphError(DeployError):
    """A network that is not made of the operations a graph holds."""


class RefusedCallError(Exception):
    """Why one call cannot become a node; whoever knows the call's place says where it is."""


@dataclass(frozen=True)
class Call:
    """One call, seen by a rule.

    Attributes:
        arguments: By the names of ATen's schema: constant tensors, numbers, lists; activations
            are meta tensors of their shape (batch first) and dtype.
        result: The result, or the first of several, as a meta tensor.
    """

    arguments: Mapping[str, object]
    result: torch.Tensor

    def activation(self, name: str = "") -> torch.Tensor:
        """An argument that depends on the network's input; by default the first argument."""
        value = self.arguments[name] if name else next(iter(self.arguments.values()))
        if not isinstance(value, torch.Tensor) or not value.is_meta:
            raise RefusedCallError("one of its inputs does not depend on the network's input")
        return value

    def maps(self) -> torch.Tensor:
        """The first argument where it is an activation (batch, channels, height, width)."""
        value = self.activation()
        if value.dim() != 4:
            raise RefusedCallError(
                f"its input is {tuple(value.shape)}, not (n, channels, height, width)"
            )
        return value

    def constant(self, name: str) -> torch.Tensor | None:
        """A tensor that does not depend on the network's input, or None."""
        value = self.arguments[name]
        if value is None:
            return None
        if not isinstance(value, torch.Tensor) or value.is_meta:
            raise RefusedCallError(f"its {name} depends on the network's input")
        return value

    def pair(self, name: str) -> list[int]:
        """Numbers for height and width; one number or a list of one stands for both."""
        value = self.arguments[name]
        sides = list(value) if isinstance(value, list | tuple) else [value]
        numbers = [side for side in sides if isinstance(side, int)]
        return numbers * 2 if len(numbers) == 1 else numbers

    def flag(self, name: str) -> bool:
        """Whether an argument is True."""
        return self.arguments[name] is True

    def require(self, name: str, value: object) -> None:
        """Refuse the call unless an argument has the one value a graph knows."""
        if self.arguments[name] != value:
            raise RefusedCallError(f"only {name}={value} is known, not {self.arguments[name]}")


@dataclass(frozen=True)
class Step:
    """A node that has no name yet; it reads the step before it, the first one the activations."""

    op: str
    options: Mapping[str, Value] = field(default_factory=dict)
    tensors: Mapping[str, torch.Tensor | None] = field(default_factory=dict)
