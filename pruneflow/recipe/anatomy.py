"""What recipes are about in a network: its layers, other parameters, and groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneflow.errors import PlanError, Problem, UserError
from pruneflow.pruning.scope import Layer, find_layers, find_vectors
from pruneflow.recipe.declaration import Recipe

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.structure.groups import ChannelGroup


@dataclass(frozen=True)
class Anatomy:
    """A network as it is before anything is removed from it.

    Attributes:
        layers: Its prunable layers (``find_layers``).
        vectors: Its other parameters (``find_vectors``).
        groups: Its groups of channels; None where no modifier of the recipe is about them.
    """

    layers: Sequence[Layer]
    vectors: Sequence[Layer]
    groups: Sequence[ChannelGroup] | None


def anatomy_of(recipe: Recipe, model: nn.Module, example: Any = None) -> Anatomy:
    """Look at a network with a recipe's eyes.

    Args:
        recipe: It.
        model: Left as it is.
        example: What ``forward`` takes, a tensor or several, for words that are about channels;
            by default the model's ``example_input_array``.

    Raises:
        PlanError: A layer has no shape yet, or channels cannot be followed.
    """
    try:
        layers, vectors = find_layers(model), find_vectors(model)
    except ValueError as error:
        raise PlanError(Problem("", str(error))) from None
    about = next((m.name for m in recipe.modifiers.values() if m.needs_groups), None)
    if about is None:
        return Anatomy(layers, vectors, None)
    try:
        groups = _groups(model, example)
    except UserError as error:
        where = recipe.locate(("modifiers", about))
        raise PlanError(Problem(where, f"modifiers.{about}: {error}")) from None
    return Anatomy(layers, vectors, groups)


def _groups(model: nn.Module, example: Any) -> tuple[ChannelGroup, ...]:
    import torch

    from pruneflow.structure import channel_groups

    given = getattr(model, "example_input_array", None) if example is None else example
    if given is None:
        raise UserError(
            "is about channels, and to follow them through the network takes an example of its "
            "input: set 'example_input_array' in the module, or pass prune(..., example=)"
        )
    several = [given] if isinstance(given, torch.Tensor) else given
    if not isinstance(several, list | tuple) or not all(
        isinstance(each, torch.Tensor) for each in several
    ):
        raise UserError(f"the example has to be a tensor or several, not {given!r:.80}")
    return channel_groups(model, several)
