"""The engine: fires a plan's events and keeps its laws, knowing nothing of any framework.

A training loop drives it like this::

    engine = Engine(plan, model, [optimizer], [scheduler])
    engine.advance(0)
    for step, batch in enumerate(batches, 1):
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()
        scheduler.step()
        engine.advance(step)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from pruneflow.errors import TrainingError
from pruneflow.keeping import Keeping
from pruneflow.lending import Lending
from pruneflow.loss_terms import LossTerms
from pruneflow.modifiers.duties import Gathering, GradientSpan
from pruneflow.modifiers.events import Event
from pruneflow.network import Network
from pruneflow.operations import gathering, ranks, rewinding
from pruneflow.pruning.masks import digest
from pruneflow.recipe.plan import AnyDuty, Plan
from pruneflow.state import PruneState


class Engine:
    """Fires what is due, keeps pruned weights at zero, lends the learning rate.

    Args:
        plan: What happens when.
        model: The network that the plan was compiled for.
        optimizers: All of its optimizers; hooks are attached to them at once.
        schedulers: All of its learning-rate schedulers.
        seed: Seeds whatever is random in the recipe.
        state: Continue from this state instead of starting anew.

    Raises:
        ResumeError: The state's journal is not this plan's past.
    """

    def __init__(
        self,
        plan: Plan,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        schedulers: Sequence[Any] = (),
        seed: int = 0,
        state: PruneState | None = None,
    ) -> None:
        self.plan = plan
        self.state = PruneState() if state is None else state
        plan.require_past(self.state.journal, self.state.clock)
        self.network = Network(model, optimizers, schedulers, self.state, seed)
        self.updates, self.awaits_gradients = 0, False
        self._hooks: dict[Optimizer, list[RemovableHandle]] = {}
        self._keeping = Keeping(self.network)
        self._lending = Lending(plan, self.network)
        self._loss_terms = LossTerms(plan, self.network)
        self._gatherings = plan.duties_of(Gathering)
        self._gradient_spans = plan.duties_of(GradientSpan)
        self.guard(optimizers)

    def advance(self, step: int) -> list[Event]:
        """Fire everything that is due up to ``step``, and return it.

        Call it right after the update that makes ``step``, before anything looks at the
        weights; and with 0 before training.
        """
        fired = list(self.plan.events_between(self.state.clock, step))
        for event in fired:
            self._loss_terms.detach()  # they watch batches of the training alone
            ranks.share_buffers(self.network.model)
            self._move_to(event.step)
            self.network.rebind()
            self.plan.recipe.modifiers[event.modifier].fire(event, self.network)
            if event.action == "change":
                self.network.enforce()
            self.state.journal.append(self._entry(event))
        if fired:
            self._keeping.fill()
        if step == self.plan.total:
            self.network.apply_masks()  # undoes what nobody saw
        self._move_to(step)
        gathering.forget(self.network, self._gatherings)
        self._loss_terms.follow()
        return fired

    def settle(self) -> None:
        """Right before a batch or an update: take in what schedulers did since the last events."""
        rewinding.settle(self.network)
        self._lending.settle()

    def guard(
        self, optimizers: Sequence[Optimizer], has_gradients: bool = True, is_alone: bool = True
    ) -> None:
        """Guard these optimizers, and let go of any others: all that the model has.

        Args:
            optimizers: Plain ``torch`` optimizers, also after some were built anew.
            has_gradients: They are there as a step begins; else call ``use_gradients`` later.
            is_alone: Nobody changes gradients after that, but for their scale.
        """
        self.detach()
        self.network.optimizers = list(optimizers)
        self.network.rebind(begins=True)
        self._loss_terms.follow()
        self._keeping.begin(is_alone)

        def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self.settle()
            self.awaits_gradients = has_gradients and gathering.has_closure(args, kwargs)
            if self.awaits_gradients:
                self.network.mask_gradients()
            elif has_gradients:
                self.use_gradients(optimizer)
            self._lending.lend(optimizer)

        def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self._lending.give_back(optimizer)
            self._keeping.follow(optimizer, has_gradients and gathering.has_closure(args, kwargs))
            self._require_used(optimizer)
            self.updates += 1

        for optimizer in optimizers:
            self._hooks[optimizer] = [
                optimizer.register_step_pre_hook(before),
                optimizer.register_step_post_hook(after),
                optimizer.register_load_state_dict_post_hook(self._keeping.forget),
            ]

    def detach(self) -> None:
        """Let go of model and optimizers; a rate that is lent at this moment goes back."""
        self._loss_terms.detach()
        for optimizer, handles in self._hooks.items():
            self._lending.give_back(optimizer)
            for handle in handles:
                handle.remove()
        self._hooks.clear()

    def is_guarded(self, optimizer: Optimizer) -> bool:
        """Whether this optimizer is guarded."""
        return optimizer in self._hooks

    def loss(self, loss: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """The loss of the batch with what the recipe adds to it, to go backward from.

        Args:
            loss: That of the task.
            scale: What it was multiplied by already.

        Raises:
            TrainingError: The network has not given what is to be added.
        """
        return self._loss_terms.add(loss, scale)

    def require_loss(self, how: str) -> None:
        """Make sure that ``loss`` was called since the last step, where the recipe adds to it.

        Args:
            how: What calls it, for the message.

        Raises:
            TrainingError: It was not.
        """
        self._loss_terms.require_added(how)

    def mask_gradients(self, names: Collection[str] | None = None) -> None:
        """Mask gradients now, e.g. before they are clipped.

        Args:
            names: Of these weights; by default of all.
        """
        gathering.mask_gradients(self.network, self._now(self._gatherings), names)

    def use_gradients(self, optimizer: Optimizer, scaled: bool = False) -> None:
        """The gradients of an update are there: mask them, learn from them, change them.

        Args:
            optimizer: What is about to use them.
            scaled: Whether it has to divide them by the scale of the loss; that is refused.
        """
        self.awaits_gradients = False
        gatherings, changes = self._now(self._gatherings), self._now(self._gradient_spans)
        if not gatherings and not changes:
            self.network.mask_gradients()
            self._keeping.note_masked(optimizer)
            return
        moved = gathering.about_to_move(self.network, optimizer, scaled)
        gathering.gather(self.network, gatherings, moved)
        for span in changes:
            span.change({name: w for name, w in moved.items() if w.grad is not None})

    @property
    def sparsity(self) -> float:
        """Share of zeros over all weights that the recipe prunes."""
        return 1 - self.nonzeros / self.plan.size if self.plan.size else 0.0

    @property
    def nonzeros(self) -> int:
        """Weights left, of those that the recipe prunes."""
        return self.plan.size - sum(self._gone(layer.name) for layer in self.plan.layers)

    @property
    def layer_sparsity(self) -> dict[str, float]:
        """Share of zeros in each layer that has a mask."""
        known = {*self.state.masks, *self.state.removed}
        layers = [layer for layer in self.plan.layers if layer.name in known]
        return {layer.name: self._gone(layer.name) / layer.size for layer in layers}

    @property
    def rate(self) -> float:
        """The rate of the next update (or the run's last), in the first optimizer's first group."""
        return self._lending.rate

    def _move_to(self, step: int) -> None:
        self.state.rate_clock += step - max(self.state.clock, 0)
        self.state.clock = step

    def _gone(self, name: str) -> int:
        """Weights of a layer that are pruned or removed."""
        return self.network.zeros.get(name, 0) + self.state.removed.get(name, 0)

    def _entry(self, event: Event) -> dict[str, Any]:
        return {
            "step": event.step,
            "epoch": self.plan.horizon.epoch(event.step),
            "modifier": event.modifier,
            "event": event.action,
            "sparsity": self.sparsity,
            "nonzeros": self.nonzeros,
            "lr": self.rate,
            "mask_hash": ranks.agreed(digest(self.state.masks), event),
        }

    def _now(self, duties: Sequence[AnyDuty]) -> list[AnyDuty]:
        """Those at work in the update that begins."""
        return [duty for duty in duties if duty.covers(self.state.clock)]

    def _require_used(self, optimizer: Optimizer) -> None:
        """Make sure that whoever needs gradients has seen those of the update just made."""
        duties = [*self._now(self._gatherings), *self._now(self._gradient_spans)]
        if self.awaits_gradients and duties:
            raise TrainingError(
                f"modifiers.{duties[0].modifier}: needs gradients before an update, but "
                f"{type(optimizer).__name__} computes them in a closure: call backward() before "
                "step(), and step() without one"
            )
