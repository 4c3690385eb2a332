"""Compile a recipe for a network and a clock, and refuse what does not fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from pruneflow.errors import PlanError, Problem
from pruneflow.modifiers.base import Modifier, TargetedModifier
from pruneflow.modifiers.duties import DecaySpan, Duty, LossSpan, RateSpan
from pruneflow.modifiers.events import ACTION_ORDER, Event
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.anatomy import Anatomy, anatomy_of
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.ledger import Ledger
from pruneflow.recipe.length import with_length
from pruneflow.recipe.plan import Plan, PlannedEvent
from pruneflow.recipe.sharding import unshardable
from pruneflow.timeline import Horizon

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.structure.groups import ChannelGroup


def compile_for(
    recipe: Recipe,
    model: nn.Module,
    horizon: Horizon,
    example: Any = None,
    anatomy: Anatomy | None = None,
) -> Plan:
    """``compile_plan`` for a module, whose layers it finds.

    Args:
        recipe: What to do.
        model: To this network.
        horizon: See ``compile_plan``.
        example: See ``anatomy_of``.
        anatomy: Of the network as it was made, where channels were removed since.

    Raises:
        PlanError: It does not fit, or a layer has no shape yet.
    """
    found = anatomy or anatomy_of(recipe, model, example)
    plan = compile_plan(recipe, found.layers, horizon, found.vectors, found.groups)
    problems = []
    for modifier in recipe.modifiers.values():
        try:
            modifier.require_module(model)
        except FieldError as error:
            problems.append(recipe.problem(modifier, error))
    if problems := [*problems, *unshardable(recipe, plan, model)]:
        raise PlanError(problems)
    return plan


def compile_plan(
    recipe: Recipe,
    layers: Sequence[Layer],
    horizon: Horizon,
    vectors: Sequence[Layer] | None = None,
    groups: Sequence[ChannelGroup] | None = None,
) -> Plan:
    """Fit a recipe to a network and a run.

    Args:
        recipe: What to do.
        layers: The network's prunable layers (``find_layers``).
        horizon: Steps an epoch, and the run's total where something else than the recipe
            decides it; else the recipe's own length, or the shortest run that it needs.
        vectors: Its other parameters (``find_vectors``), for words that are about those.
        groups: Its groups of channels (``channel_groups``), likewise.

    Raises:
        PlanError: It does not fit, with every reason and its place.
    """
    horizon = with_length(recipe, layers, horizon)
    site = Site(recipe.modifiers, layers, recipe.targets, horizon, vectors, groups)
    compiled: list[Event] = []
    problems: list[Problem] = []
    for modifier in recipe.modifiers.values():
        try:
            compiled += modifier.events(site)
        except FieldError as error:
            problems.append(recipe.problem(modifier, error))
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    try:
        duties = [duty for m in recipe.modifiers.values() for duty in _duties(recipe, m, site)]
    except FieldError as error:
        raise PlanError(Problem("", str(error))) from None
    problems += _owners(recipe, site)
    problems += _span_owners(recipe, duties, RateSpan, "the learning rate")
    problems += _span_owners(recipe, duties, DecaySpan, "the weight decay")
    problems += _span_owners(recipe, duties, LossSpan, "the loss")
    problems += _rewinders(recipe, site)
    if problems:
        raise PlanError(problems)
    order = {name: index for index, name in enumerate(recipe.modifiers)}
    compiled.sort(key=lambda e: (e.step, ACTION_ORDER.index(e.action), order[e.modifier]))
    masked = {name for event in compiled for name in event.layers}
    chosen = tuple(layer for layer in layers if layer.name in masked)
    if crossings := [*_crossings(recipe, compiled, duties)]:
        raise PlanError(crossings)
    rows = tuple(_account(recipe, compiled, chosen))
    owners = [m for m in _targeted(recipe) if m.owns_masks]
    left_out = tuple(dict.fromkeys(name for m in owners for name in site.left_out(m)))
    return Plan(recipe, horizon, chosen, rows, tuple(duties), site.rate_rewinds, left_out)


def _targeted(recipe: Recipe) -> list[TargetedModifier]:
    return [m for m in recipe.modifiers.values() if isinstance(m, TargetedModifier)]


def _duties(recipe: Recipe, modifier: Modifier, site: Site) -> Sequence[Duty]:
    try:
        return modifier.duties(site)
    except FieldError as error:
        raise PlanError(recipe.problem(modifier, error)) from None


def _owners(recipe: Recipe, site: Site) -> Iterator[Problem]:
    """Masks that two modifiers would change in the same span."""
    owners = [m for m in _targeted(recipe) if m.owns_masks]
    for one, other in combinations(owners, 2):
        shared = [layer.name for layer in site.chosen(one) if layer in site.chosen(other)]
        (start, end), (first, last) = one.span(site), other.span(site)
        if shared and (start == first or (start < last and first < end)):
            text = (
                f"modifiers.{other.name}: '{shared[0]}' has two owners of its mask: "
                f"'{one.name}' (steps {start} to {end}) and "
                f"'{other.name}' (steps {first} to {last})"
            )
            yield Problem(recipe.locate(("modifiers", other.name)), text)


def _span_owners(
    recipe: Recipe, duties: Sequence[Duty], kind: type[Duty], what: str
) -> Iterator[Problem]:
    """Spans in which two modifiers would set one thing."""
    spans = [duty for duty in duties if isinstance(duty, kind)]
    for one, other in combinations(spans, 2):
        if max(one.start, other.start) < min(one.end, other.end):
            text = (
                f"modifiers.{other.modifier}: {what} has two owners: "
                f"'{one.modifier}' (steps {one.start} to {one.end}) and '{other.modifier}' "
                f"(steps {other.start} to {other.end})"
            )
            yield Problem(recipe.locate(("modifiers", other.modifier)), text)


def _rewinders(recipe: Recipe, site: Site) -> Iterator[Problem]:
    """Modifiers beyond the first that rewind, for a rewind is the whole network's."""
    rewinders = [name for name, m in recipe.modifiers.items() if m.rate_rewinds(site)]
    for name in rewinders[1:]:
        text = f"modifiers.{name}: rewinds the network, and so does '{rewinders[0]}'"
        yield Problem(recipe.locate(("modifiers", name)), text)


def _crossings(
    recipe: Recipe, events: Sequence[Event], duties: Sequence[Duty]
) -> Iterator[Problem]:
    """What would bring tensors from before a removal to the network after it."""
    for at, shrink in enumerate(events):
        if shrink.action != "shrink":
            continue
        kept = {event.modifier for event in events[:at] if event.action == "snapshot"}
        back = {e.modifier for e in events[at:] if e.action == "rewind" and e.modifier in kept}
        taught = {
            duty.modifier
            for duty in duties
            if isinstance(duty, LossSpan) and duty.start <= shrink.step < duty.end
        }
        for names, does in ((back, "goes back to a network"), (taught, "keeps a teacher")):
            for name in sorted(names):
                text = (
                    f"modifiers.{name}: {does} from before channels are removed ('"
                    f"{shrink.modifier}' at step {shrink.step}): remove them later"
                )
                yield Problem(recipe.locate(("modifiers", name)), text)


def _account(
    recipe: Recipe, events: Sequence[Event], layers: Sequence[Layer]
) -> Iterator[PlannedEvent]:
    """Pair each event with what is known about the masks after it."""
    ledger = Ledger(layers)
    frozen: dict[str, Event] = {}
    masked: set[str] = set()
    for event in events:
        path = ("modifiers", event.modifier)
        if event.changes_masks:
            if clash := next((n for n in event.layers if n in frozen), None):
                by = frozen[clash]
                text = (
                    f"modifiers.{event.modifier}: changes the mask of '{clash}' at step "
                    f"{event.step}, but '{by.modifier}' froze it at step {by.step}"
                )
                raise PlanError(Problem(recipe.locate(path), text))
            try:
                ledger.enter(event)
            except ValueError as error:
                text = f"modifiers.{event.modifier}: at step {event.step}: {error}"
                raise PlanError(Problem(recipe.locate(path), text)) from None
            masked.update(event.layers)
        elif event.action == "freeze":
            ledger.adopt([n for n in event.layers if n not in masked])
            masked.update(event.layers)
            frozen.update(dict.fromkeys(event.layers, event))
        bounds = {name: (ledger.low[name], ledger.high[name]) for name in ledger.size}
        yield PlannedEvent(event, ledger.zeros, bounds)
