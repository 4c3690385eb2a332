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

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from pruneflow.modifiers.base import Event, RateSpan
from pruneflow.network import Network
from pruneflow.pruning.masks import digest
from pruneflow.recipe.plan import Plan
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
        self.updates = 0
        self._hooks: dict[Optimizer, list[RemovableHandle]] = {}
        self._lent: dict[int, list[Any]] = {}
        self.guard(optimizers)

    def advance(self, step: int) -> list[Event]:
        """Fire everything that is due up to ``step``, and return it.

        Call it right after the update that makes ``step``, before anything looks at the
        weights; and with 0 before training.
        """
        fired = []
        for event in self.plan.events_between(self.state.clock, step):
            self._move_to(event.step)
            self.network.rebind()
            self.plan.recipe.modifiers[event.modifier].fire(event, self.network)
            if event.action == "change":
                self.network.enforce()
            self.state.journal.append(self._entry(event))
            fired.append(event)
        self._move_to(step)
        return fired

    def settle(self) -> None:
        """Right before a batch or an update: take in what schedulers did since the last events."""
        self.network.settle()
        span = self._span()
        if span is not None and span.start == self._rate_clock():
            self.network.note_own_rates(span.modifier)

    def guard(self, optimizers: Sequence[Optimizer], mask_gradients: bool = True) -> None:
        """Guard these optimizers, and let go of any others: all that the model has.

        Args:
            optimizers: Plain ``torch`` optimizers, also after some were built anew.
            mask_gradients: Mask gradients as a step begins. Pass False where gradients come
                later than that, and call ``mask_gradients`` once they are there.
        """
        self.detach()
        self.network.optimizers = list(optimizers)
        self.network.rebind()

        def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self.settle()
            if mask_gradients:
                self.network.mask_gradients()
            self._lend_rate(optimizer)

        def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self._return_rate(optimizer)
            late = mask_gradients and bool(len(args) > 1 or kwargs)  # gradients of a closure
            self.network.apply_masks(optimizer, late)
            self.updates += 1

        for optimizer in optimizers:
            self._hooks[optimizer] = [
                optimizer.register_step_pre_hook(before),
                optimizer.register_step_post_hook(after),
            ]

    def detach(self) -> None:
        """Let go of every optimizer; a rate that is lent at this moment goes back."""
        for optimizer, handles in self._hooks.items():
            self._return_rate(optimizer)
            for handle in handles:
                handle.remove()
        self._hooks.clear()

    def is_guarded(self, optimizer: Optimizer) -> bool:
        """Whether this optimizer is guarded."""
        return optimizer in self._hooks

    def mask_gradients(self) -> None:
        """Mask gradients now, e.g. before they are clipped."""
        self.network.mask_gradients()

    @property
    def sparsity(self) -> float:
        """Share of zeros over all weights that the recipe prunes."""
        return 1 - self.nonzeros / self.plan.size if self.plan.size else 0.0

    @property
    def nonzeros(self) -> int:
        """Weights left, of those that the recipe prunes."""
        return self.plan.size - sum(self.network.zeros.values())

    @property
    def layer_sparsity(self) -> dict[str, float]:
        """Share of zeros in each layer that has a mask."""
        sizes = {layer.name: layer.size for layer in self.plan.layers}
        return {name: zeros / sizes[name] for name, zeros in self.network.zeros.items()}

    @property
    def rate(self) -> float:
        """The rate of the next update (or the run's last), in the first optimizer's first group."""
        if not self.network.optimizers:
            return float("nan")
        optimizer = self.network.optimizers[0]
        span = self._span()
        if span is None:
            return float(optimizer.param_groups[0]["lr"])
        return span.rate(self._rate_clock(), self._own_rates(span, optimizer)[0])

    def _move_to(self, step: int) -> None:
        self.state.rate_clock += step - max(self.state.clock, 0)
        self.state.clock = step

    def _entry(self, event: Event) -> dict[str, Any]:
        return {
            "step": event.step,
            "epoch": self.plan.horizon.epoch(event.step),
            "modifier": event.modifier,
            "event": event.action,
            "sparsity": self.sparsity,
            "nonzeros": self.nonzeros,
            "lr": self.rate,
            "mask_hash": digest(self.state.masks),
        }

    def _span(self) -> RateSpan | None:
        clock = self._rate_clock()
        return next((span for span in self.plan.rate_spans if span.covers(clock)), None)

    def _rate_clock(self) -> int:
        """The clock of the next update; after the last one, of that."""
        return self.state.rate_clock - int(self.state.clock >= self.plan.total)

    def _own_rates(self, span: RateSpan, optimizer: Optimizer) -> list[float]:
        """The module's own rate of each group; a group added since has what it has now."""
        noted = self.state.own_rates.get(span.modifier, [])
        index = self.network.optimizers.index(optimizer)
        kept = noted[index] if index < len(noted) else []
        return kept + [float(group["lr"]) for group in optimizer.param_groups[len(kept) :]]

    def _lend_rate(self, optimizer: Optimizer) -> None:
        self._return_rate(optimizer)  # lent still where a closure raised
        span = self._span()
        if span is not None:
            self._lent[id(optimizer)] = [group["lr"] for group in optimizer.param_groups]
            for group, own in zip(
                optimizer.param_groups, self._own_rates(span, optimizer), strict=True
            ):
                rate = span.rate(self._rate_clock(), own)
                lr = group["lr"]
                group["lr"] = torch.full_like(lr, rate) if isinstance(lr, torch.Tensor) else rate

    def _return_rate(self, optimizer: Optimizer) -> None:
        for group, lr in zip(
            optimizer.param_groups, self._lent.pop(id(optimizer), ()), strict=False
        ):
            group["lr"] = lr
