"""Channels that a modifier is about: the groups that the targeted layers make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import TargetedModifier
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.criteria import CRITERIA, BatchNormScale
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    from pruneflow.structure.groups import ChannelGroup


def targeted_groups(site: Site, modifier: TargetedModifier) -> list[tuple[ChannelGroup, Layer]]:
    """The groups whose layers are targeted, and for each a layer that stands for its channels.

    Targeted layers whose outputs cannot go, such as the network's last one, are left out.

    Raises:
        FieldError: Of a group some layers are targeted and some are not, or there is no group.
    """
    chosen = {layer.name for layer in site.chosen(modifier)}
    layers = {layer.name: layer for layer in site.layers}
    found = []
    for group in site.known_groups():
        makers = [part.tensor for part in group.producers if part.tensor in layers]
        if absent := [name for name in makers if name not in chosen]:
            if len(absent) < len(makers):
                present = next(name for name in makers if name in chosen)
                text = (
                    f"the channels of '{present}' are those of {_listed(absent)}, too: target "
                    "all of these layers, or none"
                )
                raise FieldError("targets", text)
            continue
        first, *others = [layers[name] for name in makers]
        names = tuple(name for layer in others for name in (layer.name, *layer.aliases))
        aliases = (*first.aliases, *names)
        found.append((group, replace(first, aliases=aliases, grid=(1, group.channels))))
    if not found:
        text = (
            f"no channel of {_listed(sorted(chosen))} can go: each reaches the network's output, "
            "or passes through something that is not zero at zero or mixes channels"
        )
        raise FieldError("targets", text)
    return found


def require_scales(
    site: Site, groups: Sequence[tuple[ChannelGroup, Layer]], criterion: str
) -> None:
    """Make sure that every channel goes through a batch norm, where a criterion scores those.

    Args:
        site: Of the modifier.
        groups: See ``targeted_groups``.
        criterion: By its name.

    Raises:
        FieldError: Some channel does not.
    """
    if not isinstance(CRITERIA[criterion], BatchNormScale):
        return
    scales = {vector.name for vector in site.known_vectors() if vector.is_scale}
    without = []
    for group, layer in groups:
        norms = [part.indices for part in group.producers if part.tensor in scales]
        if not all(any(indices[channel] for indices in norms) for channel in range(group.channels)):
            without.append(layer.name)
    if without:
        spare = "leave it out of the targets, or " if len(without) < len(groups) else ""
        text = (
            f"'{criterion}' scores channels by their batch norms, and there is none behind "
            f"{_listed(without)}: {spare}choose another criterion"
        )
        raise FieldError("criterion", text)


def not_of_weights(criterion: str) -> list[tuple[str, str]]:
    """The mistake of a criterion that scores channels where weights are to be scored."""
    if not isinstance(CRITERIA[criterion], BatchNormScale):
        return []
    text = f"'{criterion}' scores channels by their batch norms: it needs 'granularity: channel'"
    return [("criterion", text)]


def made_by(site: Site, groups: Sequence[ChannelGroup]) -> tuple[str, ...]:
    """The weights that make the channels of groups, by name, in the network's order."""
    makers = {part.tensor for group in groups for part in group.producers}
    return tuple(layer.name for layer in site.layers if layer.name in makers)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
