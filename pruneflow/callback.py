"""``RecipeCallback``: a thin translator between Lightning's hooks and the engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from pruneflow import lightning_trainer, mask_statistics
from pruneflow.engine import Engine
from pruneflow.lightning_calibration import calibration_for
from pruneflow.loop.resizing import resize_when_loading
from pruneflow.modifiers.events import Event
from pruneflow.pruning.oneshot.calibration import Calibration
from pruneflow.recipe.anatomy import Anatomy
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.compose import load_recipe
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.plan import Plan
from pruneflow.state import PruneState
from pruneflow.timeline import Horizon


class RecipeCallback(Callback):
    """Interprets a recipe while a Lightning ``Trainer`` fits a module.

    It works in any project: keys of ``state_dict`` do not change, its own state rides in the
    checkpoint, and the module's optimizers and schedulers stay the module's. Where the trainer has
    ``max_epochs=0``, all that the recipe does before the first update is done as ``fit`` starts.

    Args:
        recipe: A recipe's name, its file, or a ``Recipe``.
        sparsity: Replaces the recipe's own default.
        overrides: Changes as on the command line: ``["modifiers.prune.schedule=linear"]``.
        steps_per_epoch: Optimizer updates in an epoch, for loaders of unknown length and for
            manual optimization that does not update in every batch.
        calibration: Batches to use instead of the training data by words that watch the module on
            some (``oneshot_prune``, ``recalibrate_bn``): a list, a loader or a function that
            returns an iterable.
        seed: Seeds whatever is random in the recipe.

    Raises:
        RecipeError: The recipe cannot be read; at once, with file and line.
        PlanError: It does not fit the module or the trainer; when ``fit`` starts.
    """

    def __init__(
        self,
        recipe: str | Path | Recipe,
        sparsity: float | None = None,
        overrides: Sequence[str] = (),
        *,
        steps_per_epoch: int | None = None,
        calibration: Any = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(recipe, Recipe):
            recipe = load_recipe(recipe, sparsity, overrides)
        elif sparsity is not None or overrides:
            raise ValueError("a Recipe is complete: sparsity and overrides need its name or file")
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.calibration = calibration
        self.seed = seed
        self.plan: Plan | None = None
        self.engine: Engine | None = None
        self._restored: PruneState | None = None
        self._before = (0, 0)
        self._rate = math.nan
        self._max_epochs: int | None = None
        self._watched: Calibration | None = None
        self._anatomy: Anatomy | None = None
        self._resizing: RemovableHandle | None = None

    @property
    def state_key(self) -> str:
        """Independent of where the class lives, so that checkpoints outlast moves."""
        return "pruneflow.recipe"

    @property
    def clock(self) -> int:
        """Optimizer updates done."""
        state = self._restored or (self.engine and self.engine.state)
        return max(state.clock, 0) if state else 0

    @property
    def is_complete(self) -> bool:
        """Whether the recipe has come to its end."""
        return self.plan is not None and self.clock >= self.plan.total

    def state_dict(self) -> dict[str, Any]:
        """See base class."""
        return {} if self.engine is None else self.engine.state.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See base class."""
        self._restored = PruneState.from_state_dict(state_dict) if state_dict else None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note the run's length before SWA adds an epoch; let checkpoints bring their sizes."""
        self._max_epochs = trainer.max_epochs
        if lightning_trainer.shrinks(self.recipe):
            self._let_go_of_sizes()
            before = partial(self._examine, pl_module) if stage == "fit" else None
            self._resizing = resize_when_loading(pl_module, before=before)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See base class."""
        self._let_go_of_sizes()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile the recipe for this module and this trainer."""
        horizon = lightning_trainer.horizon(trainer, self.steps_per_epoch, self._max_epochs)
        if lightning_trainer.undeclared(trainer).fast_dev_run:
            horizon = Horizon(horizon.steps_per_epoch)  # as long as the recipe likes
        lightning_trainer.refuse_strategy(trainer)
        lightning_trainer.refuse_shrinking(trainer, self.recipe)
        begins = self._restored is None and not (trainer.global_step or trainer.current_epoch)
        if begins or self._anatomy is None:
            self._examine(pl_module)
        self.plan = compile_for(self.recipe, pl_module, horizon, anatomy=self._anatomy)
        lightning_trainer.warn_of_left_out(self.plan)
        self._watched = calibration_for(self.plan, trainer, pl_module, self.calibration, self.seed)
        lightning_trainer.require_own_backward(pl_module, self.plan)
        if any(event.action == "rewind" for event in self.plan.events):
            lightning_trainer.refuse_early_stopping(trainer, self.recipe.name)
        if not self.plan.total or (self.is_complete and not begins):
            # Lightning ends such a run here, before it trains
            self._begin(trainer, pl_module).detach()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Optimizers exist, and every rank holds the same weights."""
        self._begin(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Guard optimizers that were built anew; note what was, to see what the batch did."""
        assert self.engine is not None
        if not all(self.engine.is_guarded(optimizer) for optimizer in trainer.optimizers):
            self._guard(trainer, pl_module)
        self.engine.settle()
        self._before = (trainer.global_step, self.engine.updates)
        self._rate = self.engine.rate

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor
    ) -> None:
        """Add to the loss what the recipe adds, in the graph that Lightning goes back through."""
        if self.engine is not None and pl_module.automatic_optimization:
            total = self.engine.loss(loss, lightning_trainer.loss_scale(trainer))
            if total is not loss:
                loss.copy_(total)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Under manual optimization a module may clip gradients before the optimizer's step."""
        if self.engine is not None and not pl_module.automatic_optimization:
            self.engine.mask_gradients()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Use gradients before they are clipped; guard optimizers that were built anew."""
        assert self.engine is not None
        if not self.engine.is_guarded(optimizer):
            self._guard(trainer, pl_module)
        if pl_module.automatic_optimization or self.engine.awaits_gradients:
            scaled = lightning_trainer.unscales(trainer, optimizer)
            self.engine.use_gradients(optimizer, scaled)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Fire what is due, before validation and checkpoints see the weights."""
        assert self.engine is not None and self.plan is not None
        global_step, updates = self._before
        if trainer.global_step > global_step or self.engine.updates > updates:
            events = self._advance(trainer, pl_module, self.clock + 1)
            every = lightning_trainer.undeclared(trainer).log_every_n_steps
            if events or (every and self.clock % every == 0):
                pl_module.log("recipe/sparsity", self.engine.sparsity, prog_bar=True)
                pl_module.log("recipe/lr", self._rate)
            if self.is_complete and trainer.max_steps == -1 and trainer.max_epochs == -1:
                trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so where the run ended before the recipe did."""
        assert self.engine is not None and self.plan is not None
        if not self.is_complete and not lightning_trainer.undeclared(trainer).fast_dev_run:
            rank_zero_warn(
                f"training ended at step {self.clock}, but recipe '{self.recipe.name}' "
                f"runs until step {self.plan.total}: its result is incomplete"
            )
        self.engine.detach()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let go of optimizers that may outlive the run."""
        if self.engine is not None:
            self.engine.detach()

    def fire_due(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Event]:
        """Fire everything due up to ``step``; a place for subclasses to look before and after."""
        assert self.engine is not None
        return self.engine.advance(step)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> Engine:
        """Bind the engine, and fire what is due before the first update."""
        assert self.plan is not None
        state, self._restored = self._restored, None
        if state is None and (trainer.global_step or trainer.current_epoch):
            state = lightning_trainer.earlier_state(self.engine)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.engine = Engine(self.plan, pl_module, (), schedulers, self.seed, state)
        self.engine.network.calibration = self._watched
        self._guard(trainer, pl_module)
        if state is None:
            self._advance(trainer, pl_module, 0)
        return self.engine

    def _advance(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Event]:
        assert self.engine is not None
        self.engine.network.averages = lightning_trainer.averages(trainer)
        events = self.fire_due(trainer, pl_module, step)
        if any(event.action in ("grow", "prune", "rewind", "shrink") for event in events):
            lightning_trainer.forget_rankings(trainer)
        if any(event.counts_zeros for event in events):
            loggers = trainer.loggers if trainer.is_global_zero else ()
            mask_statistics.log(loggers, self.engine, max(self.clock - 1, 0))
        return events

    def _examine(self, pl_module: LightningModule) -> None:
        """Note what the module is like before anything is removed from it."""
        self._anatomy = lightning_trainer.anatomy(self.recipe, pl_module)

    def _let_go_of_sizes(self) -> None:
        if self._resizing is not None:
            self._resizing.remove()
            self._resizing = None

    def _guard(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Guard the trainer's optimizers.

        Lightning computes gradients inside an automatic ``optimizer.step``; they are used in
        ``on_before_optimizer_step`` there, and as the step begins elsewhere.
        """
        assert self.engine is not None
        is_alone = lightning_trainer.is_alone(trainer, pl_module, self)
        self.engine.guard(trainer.optimizers, not pl_module.automatic_optimization, is_alone)
