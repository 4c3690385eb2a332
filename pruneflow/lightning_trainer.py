"""What a Lightning trainer tells the recipe, and what other callbacks must not get wrong."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.optim import Optimizer

from pruneflow.accumulation import batches_per_update
from pruneflow.engine import Engine
from pruneflow.errors import PlanError, Problem, ResumeError
from pruneflow.modifiers.duties import LossSpan
from pruneflow.namespaces import NAMESPACES, kinds
from pruneflow.pruning.parametrized import told
from pruneflow.recipe.anatomy import Anatomy, anatomy_of
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.plan import Plan
from pruneflow.state import PruneState
from pruneflow.timeline import Horizon
from pruneflow.zoo.classifier import Classifier

IMAGE = 32
"""Pixels along a side, for a model that takes images of any size."""


def undeclared(trainer: Trainer | LightningModule) -> Any:
    """The trainer, for what its connectors set and its class does not declare."""
    return trainer


def horizon(
    trainer: Trainer, steps_per_epoch: int | None = None, max_epochs: int | None = None
) -> Horizon:
    """The trainer's clock: updates in an epoch, and in the whole run unless it has no end.

    Args:
        trainer: A trainer whose ``fit`` has begun.
        steps_per_epoch: Replaces what the loader's length says.
        max_epochs: Replaces the trainer's.

    Raises:
        PlanError: The length of an epoch is unknown, not the one given, or not always the same.
    """
    trainer.fit_loop.setup_data()
    batches = trainer.num_training_batches
    max_epochs = trainer.max_epochs if max_epochs is None else max_epochs
    together = batches_per_update(callbacks(trainer), trainer.accumulate_grad_batches, max_epochs)
    if math.isfinite(batches):
        found = max(1, math.ceil(batches / together))
    elif steps_per_epoch is None:
        mend = "pass RecipeCallback(..., steps_per_epoch=N)"
        raise PlanError(Problem("", f"the training loader has no length: {mend}"))
    else:
        found = steps_per_epoch
    is_automatic = trainer.lightning_module.automatic_optimization
    checked = is_automatic and not undeclared(trainer).fast_dev_run
    if steps_per_epoch is None:
        steps_per_epoch = found
    elif checked and found != steps_per_epoch:
        text = f"steps_per_epoch is {steps_per_epoch}, but the training loader makes {found}"
        raise PlanError(Problem("", f"{text} updates an epoch"))
    limits = []
    if trainer.max_steps != -1:
        limits.append(trainer.max_steps)
    if max_epochs is not None and max_epochs != -1:
        limits.append(max_epochs * steps_per_epoch)
    return Horizon(steps_per_epoch, min(limits) if limits else None)


def earlier_state(engine: Engine | None) -> PruneState:
    """The state with which a trainer that has trained before goes on.

    Args:
        engine: What worked in it before, if anything did.

    Raises:
        ResumeError: It goes on from a checkpoint that knows nothing of the recipe.
    """
    if engine is None:
        raise ResumeError(
            "the checkpoint holds no state of a recipe: to begin a recipe with its weights, "
            "load them into the module and fit without ckpt_path"
        )
    return engine.state


def loss_scale(trainer: Trainer) -> float:
    """What Lightning has multiplied a loss by when it goes backward from it."""
    scaler = _scaler(trainer)
    scale = 1.0 if scaler is None else float(scaler.get_scale())
    return scale / trainer.accumulate_grad_batches


def unscales(trainer: Trainer, optimizer: Optimizer) -> bool:
    """Whether an optimizer divides gradients by the scale of the loss as it steps, as fused ones.

    Lightning does so for any other, before ``on_before_optimizer_step``.
    """
    return _scaler(trainer) is not None and hasattr(optimizer, "_step_supports_amp_scaling")


def _scaler(trainer: Trainer) -> Any:
    return getattr(undeclared(trainer).precision_plugin, "scaler", None)


def is_alone(trainer: Trainer, module: LightningModule, ours: Any) -> bool:
    """Whether Lightning alone stands between a callback of ours and the update: it may clip.

    Args:
        trainer: Whose plugins and callbacks.
        module: Whose hooks.
        ours: The callback that sees gradients in ``on_before_optimizer_step``.
    """
    others = [callback for callback in callbacks(trainer) if callback is not ours]
    between: list[Any] = [
        type(trainer.strategy),
        type(trainer.precision_plugin),
        *(callback.on_before_optimizer_step for callback in others),
        module.on_before_optimizer_step,
        module.configure_gradient_clipping,
        module.optimizer_step,
    ]
    return all(each.__module__.startswith(NAMESPACES) for each in between)


def require_own_backward(module: LightningModule, plan: Plan) -> None:
    """Make sure that Lightning goes backward where a recipe adds to the loss.

    Raises:
        PlanError: The module does so by itself.
    """
    if not module.automatic_optimization and (spans := plan.duties_of(LossSpan)):
        name = spans[0].modifier
        text = f"modifiers.{name}: changes the loss, which needs automatic optimization"
        raise PlanError(Problem(plan.recipe.locate(("modifiers", name)), text))


def warn_of_left_out(plan: Plan) -> None:
    """Say so where a recipe passes over weights that it would mean."""
    if plan.left_out:
        rank_zero_warn(f"recipe '{plan.recipe.name}': {told(plan.left_out)}")


def averages(trainer: Trainer) -> list[nn.Module]:
    """Averaged copies of the weights that callbacks keep (EMA, SWA)."""
    found = [getattr(callback, "_average_model", None) for callback in callbacks(trainer)]
    return [average for average in found if average is not None]


def forget_rankings(trainer: Trainer) -> None:
    """Make a ``best`` checkpoint compete among networks of one mask only.

    Earlier files stay until better ones of the new mask take their places.
    """
    for callback in callbacks(trainer):
        if getattr(callback, "monitor", None) is not None and hasattr(callback, "best_k_models"):
            worst = torch.tensor(math.inf if callback.mode == "min" else -math.inf)
            callback.best_k_models = dict.fromkeys(callback.best_k_models, worst)
            callback.best_model_score = callback.current_score = None
            callback.kth_value = worst


def refuse_early_stopping(trainer: Trainer, recipe: str) -> None:
    """Refuse to rewind under early stopping, which would end the run in its second round.

    Raises:
        PlanError: The trainer has an ``EarlyStopping``, of either namespace.
    """
    for callback in callbacks(trainer):
        if "EarlyStopping" in kinds(type(callback)):
            text = (
                f"recipe '{recipe}' rewinds, which early stopping takes for a loss of accuracy: "
                "remove EarlyStopping"
            )
            raise PlanError(Problem("", text))


def refuse_strategy(trainer: Trainer) -> None:
    """Refuse to prune where parameters are no tensors of their own.

    Raises:
        PlanError: The strategy flattens them.
    """
    if found := kinds(type(trainer.strategy)) & {"FSDPStrategy", "DeepSpeedStrategy"}:
        text = (
            f"{found.pop()} flattens parameters, and a mask needs their shapes: use "
            "ModelParallelStrategy, and fully_shard in the module's configure_model"
        )
        raise PlanError(Problem("", text))


def shrinks(recipe: Recipe) -> str:
    """The first modifier of a recipe that removes channels, or the empty string."""
    return next((m.name for m in recipe.modifiers.values() if m.type == "shrink"), "")


def refuse_shrinking(trainer: Trainer, recipe: Recipe) -> None:
    """Refuse to remove channels where others would go on with parameters that are gone.

    Raises:
        PlanError: A strategy or a callback keeps references or copies.
    """
    name = shrinks(recipe)
    if not name:
        return
    strategy = type(trainer.strategy)
    keeps = None
    if "SingleDeviceStrategy" not in kinds(strategy):
        keeps = f"{strategy.__name__}: train on one device, Trainer(devices=1)"
    for callback in callbacks(trainer):
        if hasattr(callback, "_average_model"):
            keeps = f"{type(callback).__name__}: average weights in a run that begins shrunk"
    if keeps:
        text = f"modifiers.{name}: replaces parameters, which cannot be told to {keeps}"
        raise PlanError(Problem(recipe.locate(("modifiers", name)), text))


def example_of(module: LightningModule) -> Any:
    """What a module takes as input: what it says itself, or an image for one of ours."""
    if module.example_input_array is not None or not isinstance(module, Classifier):
        return module.example_input_array
    size = module.size or IMAGE
    return torch.zeros(2, module.channels or 1, size, size)


def anatomy(recipe: Recipe, module: LightningModule) -> Anatomy:
    """``anatomy_of`` a module without its trainer: a copy of it shall be no copy of that."""
    trainer = undeclared(module)._trainer
    undeclared(module)._trainer = None
    try:
        return anatomy_of(recipe, module, example_of(module))
    finally:
        undeclared(module)._trainer = trainer


def callbacks(trainer: Trainer) -> list[Any]:
    """The trainer's callbacks, of either namespace."""
    return list(undeclared(trainer).callbacks)
