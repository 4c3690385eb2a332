"""``Pruning``: a recipe at work in a hand-written loop."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from pruneflow.engine import Engine
from pruneflow.errors import ResumeError, TrainingError
from pruneflow.loop.resizing import resize_when_loading
from pruneflow.modifiers.events import Event
from pruneflow.pruning.oneshot.calibration import Calibration
from pruneflow.recipe.plan import Plan
from pruneflow.state import PruneState


class Pruning:
    """A recipe at work in a training loop; ``prune`` makes it.

    From then on gradients of pruned weights are zeros right after ``backward``, and the weights
    themselves after every update; ``step`` fires what the recipe has planned.

    Attributes:
        plan: What happens when; ``print(pruning.plan)`` shows it.
        engine: What does it.
    """

    def __init__(
        self,
        plan: Plan,
        module: nn.Module,
        optimizers: Sequence[Optimizer],
        schedulers: Sequence[Any],
        averages: Sequence[nn.Module],
        calibration: Calibration | None,
        seed: int,
    ) -> None:
        self.plan = plan
        self._optimizers = optimizers
        self._others = (module, schedulers, averages, calibration, seed)
        self._is_open = True
        self._has_updated = False
        self._beyond = 0
        self._hooks: list[RemovableHandle] = []
        self.engine = self._engine(None)
        try:
            pruned = any(event.counts_zeros for event in self.engine.advance(0))
        except BaseException:
            self.let_go()
            raise
        self._pruned_at_once = self._versions() if pruned else None
        self._hooks = self._attach()

    def step(self) -> list[Event]:
        """Count the batch if an optimizer stepped in it, fire what is due, and return that.

        Call it after every batch, once optimizers and schedulers have stepped. A batch without
        an update does not count: gradients accumulate, or a ``GradScaler`` found them infinite.
        After the recipe's end masks and the last rate stay.

        Raises:
            TrainingError: It was closed, or the recipe adds to a loss and ``loss`` was not called.
        """
        if not self._is_open:
            raise TrainingError("this pruning was closed, or another prune() has taken its place")
        self._pruned_at_once = None
        if not self._optimizers:
            self.engine.network.apply_masks()
        elif not self._has_updated:
            return []
        self._has_updated = False
        if self.done:
            self._beyond += 1
            if self._beyond == self.plan.horizon.steps_per_epoch:
                warnings.warn(
                    f"recipe '{self.plan.recipe.name}' ended at step {self.plan.total}, an epoch "
                    "ago: if training is to be longer, pass epochs= to prune(); if it is not, "
                    "steps_per_epoch is too small",
                    stacklevel=2,
                )
            return []
        self.engine.require_loss("pruning.loss(loss)")
        events = self.engine.advance(self.clock + 1)
        if "shrink" in [event.action for event in events]:
            self._reattach()
        return events

    def loss(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss of the batch with what the recipe adds to it, such as a teacher's opinion.

        Call it right after the forward pass, before the loss is divided or scaled, and go
        backward from what it returns: that is the loss itself where the recipe adds nothing.

        Raises:
            TrainingError: The network has not given what is to be added.
        """
        return self.engine.loss(loss)

    @property
    def clock(self) -> int:
        """Optimizer updates done."""
        return self.engine.state.clock

    @property
    def total(self) -> int:
        """Updates of the whole run."""
        return self.plan.total

    @property
    def epoch(self) -> int:
        """Epochs done; where a resumed loop goes on."""
        return self.clock // self.plan.horizon.steps_per_epoch

    @property
    def epochs(self) -> int:
        """Epochs of the whole run; the last may be shorter."""
        return -(-self.total // self.plan.horizon.steps_per_epoch)

    @property
    def done(self) -> bool:
        """Whether the recipe has come to its end."""
        return self.clock >= self.total

    @property
    def sparsity(self) -> float:
        """Share of zeros over all weights that the recipe prunes."""
        return self.engine.sparsity

    @property
    def layer_sparsity(self) -> dict[str, float]:
        """Share of zeros in each layer that has a mask."""
        return self.engine.layer_sparsity

    @property
    def journal(self) -> list[dict[str, Any]]:
        """What has happened, one entry an event."""
        return list(self.engine.state.journal)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, to be saved beside those of module and optimizers."""
        return self.engine.state.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; load the module and its optimizers first, but after ``prune``.

        Raises:
            ResumeError: It comes from another recipe or another length, or the module was
                loaded before ``prune``, which has pruned it already.
        """
        if self._pruned_at_once is not None and self._pruned_at_once == self._versions():
            raise ResumeError(
                f"recipe '{self.plan.recipe.name}' prunes at step 0, and so did prune(): load "
                "the module's weights between prune() and load_state_dict()"
            )
        engine = self._engine(PruneState.from_state_dict(state_dict))
        self.engine.detach()
        self.engine = engine
        self._reattach()

    def close(self) -> None:
        """Let go of the module, and warn where the recipe has not come to its end."""
        if self._is_open and not self.done:
            warnings.warn(
                f"training ended at step {self.clock}, but recipe '{self.plan.recipe.name}' runs "
                f"until step {self.total}: its result is incomplete",
                stacklevel=2,
            )
        self.let_go()

    def __enter__(self) -> Pruning:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.let_go()

    def let_go(self) -> None:
        """Detach all hooks, at whatever step."""
        self._is_open = False
        self.engine.detach()
        for hook in self._hooks:
            hook.remove()

    def _engine(self, state: PruneState | None) -> Engine:
        module, schedulers, averages, calibration, seed = self._others
        engine = Engine(self.plan, module, self._optimizers, schedulers, seed, state)
        engine.network.averages = averages
        engine.network.calibration = calibration
        return engine

    def _versions(self) -> list[tuple[int, int]]:
        """Other ones with every change of a weight."""
        weights = dict(self._others[0].named_parameters()).items()
        return [(id(w), w._version) for name, w in weights if name in self.plan.masked]

    def _reattach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = self._attach()

    def _attach(self) -> list[RemovableHandle]:
        weights = {name: self.engine.network.weights[name] for name in self.plan.masked}
        hooks = [optimizer.register_step_post_hook(self._note) for optimizer in self._optimizers]
        hooks += [_mask_gradients(self, *pair) for pair in weights.items() if pair[1].requires_grad]
        if self._optimizers:
            hooks.append(_refuse_strangers(self, set(map(id, weights.values()))))
        if "shrink" in [event.action for event in self.plan.events]:
            hooks += [resize_when_loading(self._others[0], self._optimizers)]
            hooks += map(resize_when_loading, self.engine.network.average_modules())
        return hooks

    def _note(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found_inf = getattr(optimizer, "found_inf", None)  # a GradScaler has fused ones skip inside
        self._has_updated |= found_inf is None or not found_inf


def _mask_gradients(pruning: Pruning, name: str, weight: torch.Tensor) -> RemovableHandle:
    """Mask a gradient as it comes, so that whoever clips it sees the survivors alone."""
    known = weakref.ref(pruning)  # the garbage collector does not look into such hooks

    def after(weight: torch.Tensor) -> None:
        here = known()
        if here is not None:
            here.engine.mask_gradients([name])

    hook: RemovableHandle = weight.register_post_accumulate_grad_hook(after)  # type: ignore[no-untyped-call]
    return hook


def _refuse_strangers(pruning: Pruning, weights: set[int]) -> RemovableHandle:
    """Raise as soon as an optimizer that ``prune`` was not given trains one of the weights."""
    known = weakref.ref(pruning)  # torch keeps the hook for as long as the process lives

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        here = known()
        if here is None or here.engine.is_guarded(optimizer):
            return
        if any(
            id(weight) in weights for group in optimizer.param_groups for weight in group["params"]
        ):
            raise TrainingError(
                f"{type(optimizer).__name__} trains weights of recipe "
                f"'{here.plan.recipe.name}', but prune() was not given it: pass all optimizers, "
                "optimizer=[...]; once the recipe is over, close() lets go of the module"
            )

    hook = register_optimizer_step_pre_hook(before)
    weakref.finalize(pruning, hook.remove).atexit = False
    return hook
