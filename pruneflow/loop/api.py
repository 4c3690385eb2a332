"""``prune``: give a recipe the module and optimizers of a hand-written loop."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from pruneflow.averaged import averaged_copy
from pruneflow.errors import PlanError, Problem
from pruneflow.loop.calibration import Loss, calibration_for
from pruneflow.loop.pruning import Pruning
from pruneflow.modifiers.duties import Gathering
from pruneflow.pruning.parametrized import told
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.compose import load_recipe
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.plan import Plan
from pruneflow.timeline import Horizon

_at_work: weakref.WeakKeyDictionary[nn.Module, weakref.ref[Pruning]] = weakref.WeakKeyDictionary()


def prune(
    module: nn.Module,
    recipe: str | Path | Recipe,
    sparsity: float | None = None,
    overrides: Sequence[str] = (),
    *,
    steps_per_epoch: int,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    scheduler: Any = None,
    averages: Sequence[nn.Module] = (),
    calibration: Any = None,
    loss: Loss | None = None,
    example: Any = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Pruning:
    """Interpret a recipe while a loop of your own trains a module.

    Example::

        model = torch.nn.Linear(20, 2)
        optimizer = torch.optim.Adam(model.parameters())
        pruning = pruneflow.prune(model, "gradual", 0.9, optimizer=optimizer, steps_per_epoch=10)
        for epoch in range(pruning.epochs):
            for batch in torch.randn(10, 32, 20):
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                pruning.step()
        print(f"{pruning.sparsity:.1%} sparse")

    A module has one recipe at a time: calling this again closes the earlier one.

    Args:
        module: Its parameters keep their names and stay plain parameters.
        recipe: A recipe's name, its file, or a ``Recipe``.
        sparsity: Replaces the recipe's own default.
        overrides: Changes as on the command line: ``["modifiers.prune.schedule=linear"]``.
        steps_per_epoch: Optimizer updates in an epoch.
        optimizer: What trains the module; all of them where there are several. A recipe that
            neither sets a learning rate nor rewinds can do without: every ``step`` counts then.
        scheduler: The learning-rate scheduler, or all of them, to be rewound with the weights.
        averages: Averaged copies of the weights, or wrappers that hold one as ``module`` such as
            ``AveragedModel``; they are masked too.
        calibration: Training batches for words that watch the module on some (``oneshot_prune``,
            ``recalibrate_bn``): a list, a loader, which is not moved, or a function that returns
            an iterable. A batch is the module's input, or begins with it.
        loss: ``loss(module, batch)``, a scalar, for words that need one (``snip``); it also runs
            the module where a batch begins with no tensor.
        example: An input of the module, or a list of them, for words that are about channels; by
            default its ``example_input_array``.
        epochs: The run's length; by default the recipe's own. With 0 the module is pruned here,
            and there is nothing to train.
        steps: The same in updates.
        seed: Seeds whatever is random in the recipe.

    Raises:
        RecipeError: The recipe cannot be read.
        PlanError: It does not fit the module, the length or what was passed.
        ValueError: The arguments contradict each other.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, sparsity, overrides)
    elif sparsity is not None or overrides:
        raise ValueError("a Recipe is complete: sparsity and overrides need its name or file")
    if not isinstance(steps_per_epoch, int) or steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch: needs 1 or more whole steps, not {steps_per_epoch}")
    if epochs is not None and steps is not None:
        raise ValueError("give the run's length in epochs or in steps, not both")
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    optimizers, schedulers = _listed(optimizer), _listed(scheduler)
    total = steps if epochs is None else epochs * steps_per_epoch
    plan = compile_for(recipe, module, Horizon(steps_per_epoch, total), example)
    _require_optimizers(plan, module, optimizers, schedulers)
    _require_averages(plan, module, averages)
    if plan.left_out:
        warnings.warn(f"recipe '{recipe.name}': {told(plan.left_out)}", stacklevel=2)
    watched = calibration_for(plan, module, calibration, loss, seed)
    earlier = _at_work.get(module)
    if earlier is not None and (before := earlier()) is not None:
        before.let_go()
    pruning = Pruning(plan, module, optimizers, schedulers, averages, watched, seed)
    _at_work[module] = weakref.ref(pruning)
    return pruning


def _listed(one_or_more: Any) -> list[Any]:
    if one_or_more is None:
        return []
    return list(one_or_more) if isinstance(one_or_more, list | tuple) else [one_or_more]


def _require_optimizers(
    plan: Plan, module: nn.Module, optimizers: Sequence[Any], schedulers: Sequence[Any]
) -> None:
    """Make sure that everything is here which the recipe works on.

    Raises:
        PlanError: The recipe needs an optimizer or scheduler that was not passed.
        ValueError: What was passed is none, or belongs to another module.
    """
    ours = set(map(id, module.parameters()))
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"optimizer: needs a torch.optim.Optimizer, not {optimizer!r:.80}")
        if ours.isdisjoint(id(p) for group in optimizer.param_groups for p in group["params"]):
            raise ValueError(
                f"optimizer: {type(optimizer).__name__} trains none of this module's parameters"
            )
    recipe = plan.recipe
    rewinder = next((e.modifier for e in plan.events if e.action == "rewind"), None)
    lender = next((span.modifier for span in plan.rate_spans), None)
    scorer = next((gathering.modifier for gathering in plan.duties_of(Gathering)), None)
    needs = {rewinder: "rewinds training", lender: "sets the rate", scorer: "needs gradients"}
    name, does = next(((name, does) for name, does in needs.items() if name), (None, ""))
    if name and not optimizers:
        where = recipe.locate(("modifiers", str(name)))
        raise PlanError(Problem(where, f"modifiers.{name}: {does}: pass prune(..., optimizer=...)"))
    if rewinder and not schedulers and any(map(_has_scheduler, optimizers)):
        where = recipe.locate(("modifiers", rewinder))
        text = f"modifiers.{rewinder}: rewinds the schedule too: pass prune(..., scheduler=...)"
        raise PlanError(Problem(where, text))


def _require_averages(plan: Plan, module: nn.Module, averages: Sequence[Any]) -> None:
    """Make sure that averages can be masked like the module.

    Raises:
        ValueError: One is no module, or not of this one.
    """
    names = plan.masked or dict(module.named_parameters())
    for average in averages:
        if not isinstance(average, nn.Module):
            raise ValueError(f"averages: needs modules, not {average!r:.80}")
        if averaged_copy(average, names) is None:
            raise ValueError(
                f"averages: {type(average).__name__} has no copy of this module, with its "
                f"'{next(iter(names))}', neither in itself nor as '.module': pass the averaged "
                "copy itself"
            )


def _has_scheduler(optimizer: Optimizer) -> bool:
    return hasattr(optimizer.step, "_wrapped_by_lr_sched")  # how torch itself knows
