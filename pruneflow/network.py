"""The network under the knife: a model, its optimizers and schedulers, and their PruneState."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from pruneflow import snapshots
from pruneflow.errors import FrozenMaskError, NonFiniteError, ResumeError, TrainingError
from pruneflow.optimizer_memory import mask_memory, moved_by, restore_schedule, schedule_state
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.masks import Masks, count_zeros, is_finite
from pruneflow.pruning.scoring import streams
from pruneflow.state import PruneState, detached_copy


class Network:
    """What modifiers act on; every change to weights, masks or optimizers is made here.

    Args:
        model: Its parameters keep their names and stay plain parameters.
        optimizers: Their state is masked and rewound along with the weights.
        schedulers: Anything with ``state_dict`` and ``load_state_dict``.
        state: The state to continue from.
        seed: Seeds whatever is random, together with the step and the layer's name.

    Attributes:
        weights: Every parameter by name; an event of action ``change`` may write to them.
        zeros: Pruned weights of every layer that has a mask.
        averages: Modules that hold averaged copies of the weights; they are masked too.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        schedulers: Sequence[Any],
        state: PruneState,
        seed: int,
    ) -> None:
        self.model = model
        self.optimizers = list(optimizers)
        self.schedulers = list(schedulers)
        self.averages: Sequence[nn.Module] = ()
        self.state = state
        self.seed = seed
        self.weights = dict(model.named_parameters())
        for name, mask in state.masks.items():
            if name not in self.weights or self.weights[name].shape != mask.shape:
                raise ResumeError(
                    f"the checkpoint's mask of '{name}' fits no weight of this network"
                )
        state.masks = {name: mask.to(self.weights[name]) for name, mask in state.masks.items()}
        self._exact: set[int] = set()
        self._pair_up()

    # -- every step ------------------------------------------------------------------------

    @torch.no_grad()
    def apply_masks(self, optimizer: Optimizer | None = None, late: bool = False) -> None:
        """Put pruned weights back to +0.0: all of them, or those an optimizer has just moved."""
        weights, masks = self._masked, self._masks
        if optimizer is not None and len(self.optimizers) > 1:  # a graph may need the others
            weights, masks = moved_by(optimizer, self.weights.values(), weights, masks)
        if weights:
            torch._foreach_mul_(weights, masks)
            if late or id(optimizer) not in self._exact:
                torch._foreach_add_(weights, 0.0)  # -0.0 + 0.0 is +0.0

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Take pruned weights out of the gradient, so that neither momentum nor norm sees them."""
        pairs = [
            (weight.grad, mask)
            for weight, mask in zip(self._masked, self._masks, strict=True)
            if weight.grad is not None
        ]
        if pairs:
            torch._foreach_mul_([grad for grad, _ in pairs], [mask for _, mask in pairs])

    # -- events ----------------------------------------------------------------------------

    def prune(
        self,
        names: Sequence[str],
        quota: Quota,
        criterion: str,
        granularity: Granularity = UNSTRUCTURED,
    ) -> None:
        """Mask the lowest-scoring weights until the quota is met; pruned ones stay pruned.

        Raises:
            NonFiniteError: A weight is NaN or infinite.
            FrozenMaskError: The mask of one of the layers is frozen.
        """
        self._require_finite(names)
        weights = {name: self.weights[name] for name in names}
        scores = streams(weights, self.state.masks, CRITERIA[criterion], self._generator)
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        pruned = granularity.choose(scores, shapes, quota)
        self._install({name: pruned.pop(name).logical_not_() for name in names})

    def freeze(self, names: Sequence[str]) -> None:
        """Fix masks; a layer without one takes the zeros its weights hold."""
        fresh = [name for name in names if name not in self.state.masks]
        self._require_finite(fresh)
        self._install({name: self.weights[name].detach().ne(0) for name in fresh})
        self.state.frozen.update(names)

    def shuffle_masks(self, names: Sequence[str]) -> None:
        """Move every layer's zeros to random places."""
        shuffled = {}
        for name in names:
            mask = self.state.masks[name]
            order = torch.randperm(mask.numel(), generator=self._generator(name))
            shuffled[name] = mask.reshape(-1)[order.to(mask.device)].ne(0)
        self._install(shuffled)

    def take_snapshot(self, key: str, weights: bool) -> None:
        """Keep what ``rewind`` restores: the schedule, and the weights where asked for."""
        snapshot = snapshots.take(self.model, self.optimizers, self.averages) if weights else {}
        snapshot["rate_clock"] = self.state.rate_clock
        snapshot["own_rates"] = detached_copy(self.state.own_rates)
        snapshot["schedule"] = schedule_state(self.schedulers, self.optimizers)
        self.state.snapshots[key] = snapshot
        self.state.unsettled_snapshot = key

    @torch.no_grad()
    def rewind(self, key: str) -> None:
        """Go back to a snapshot; masks stay, and what comes back is masked."""
        snapshot = self.state.snapshots[key]
        if "tensors" in snapshot:
            snapshots.restore(snapshot, self.model, self.optimizers, self.averages)
        self.state.rate_clock = snapshot["rate_clock"]
        self.state.own_rates = detached_copy(snapshot["own_rates"])
        restore_schedule(self.schedulers, self.optimizers, snapshot["schedule"])
        self.state.unsettled_rewind = key
        self.enforce()

    def settle(self) -> None:
        """Right before a batch: make good what schedulers did behind our back.

        One that waits for a metric steps after validation, and so after the events of an
        epoch's end: a snapshot of that moment has to have that step, a rewind must not.
        """
        if self.state.unsettled_snapshot:
            self.state.snapshots[self.state.unsettled_snapshot]["schedule"] = schedule_state(
                self.schedulers, self.optimizers
            )
        if self.state.unsettled_rewind:
            kept = self.state.snapshots[self.state.unsettled_rewind]["schedule"]
            restore_schedule(self.schedulers, self.optimizers, kept)
        self.state.unsettled_snapshot = self.state.unsettled_rewind = ""

    @torch.no_grad()
    def redraw_weights(self, key: str) -> None:
        """Random re-initialization: shuffle the initial values of every trained tensor within it.

        Where initial values are drawn independently of each other, this is a fresh draw.

        Args:
            key: The snapshot that holds the initial values, those of pruned weights too.
        """
        for name, weight in self.weights.items():
            if weight.requires_grad:
                initial = self.state.snapshots[key]["tensors"][name].reshape(-1)
                order = torch.randperm(weight.numel(), generator=self._generator(name))
                weight.copy_(initial[order.to(initial.device)].view_as(weight))
        self.enforce()

    def note_own_rates(self, key: str) -> None:
        """Keep the rates of this moment as those a modifier takes over."""
        self.state.own_rates[key] = [
            [float(group["lr"]) for group in optimizer.param_groups]
            for optimizer in self.optimizers
        ]

    @torch.no_grad()
    def enforce(self) -> None:
        """Make weights, their averages and the optimizers' memory agree with the masks."""
        self.apply_masks()
        for average in self._average_modules():
            parameters = dict(average.named_parameters())
            for name, mask in self.state.masks.items():
                parameters[name].mul_(mask).add_(0.0)
        masked = dict(zip(self._masked, self._masks, strict=True))
        self._exact = {id(o) for o in self.optimizers if mask_memory(o, masked)}

    def rebind(self) -> None:
        """Follow parameters that were replaced since the last time; their masks stay.

        Raises:
            TrainingError: A masked parameter is gone, or has another shape.
        """
        current = dict(self.model.named_parameters())
        for name, mask in self.state.masks.items():
            if name not in current or current[name].shape != mask.shape:
                raise TrainingError(
                    f"'{name}' was pruned, but at step {self.state.clock} the network has no such "
                    "parameter any more: recipes cannot follow a change of architecture"
                )
        self.weights = current
        self.state.masks = {n: mask.to(current[n]) for n, mask in self.state.masks.items()}
        self._pair_up()
        self.enforce()

    # -- inside ----------------------------------------------------------------------------

    def _generator(self, name: str) -> torch.Generator:
        """A generator that depends on the seed, the step and the name alone."""
        key = f"{self.seed}/{self.state.clock}/{name}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:7], "big")
        return torch.Generator().manual_seed(seed)

    def _require_finite(self, names: Iterable[str]) -> None:
        for name in names:
            if not is_finite(self.weights[name]):
                raise NonFiniteError(
                    f"'{name}' holds NaN or infinite weights at step "
                    f"{self.state.clock}: the training diverged (a lower "
                    "learning rate or gradient clipping may help)"
                )

    def _install(self, kept: Mapping[str, torch.Tensor]) -> None:
        """Make masks of booleans (True where a weight is kept), in place where there is one."""
        masks = self.state.masks
        for name, keep in kept.items():
            if name in self.state.frozen and not torch.equal(keep, masks[name].view_as(keep).ne(0)):
                raise FrozenMaskError(
                    f"the mask of '{name}' is frozen, but at step {self.state.clock} it was "
                    "about to change"
                )
        for name, keep in kept.items():
            shaped = keep.view(self.weights[name].shape)
            if name in masks:
                masks[name].copy_(shaped)
            else:
                masks[name] = shaped.to(self.weights[name])
        self._pair_up()
        self.enforce()

    def _pair_up(self) -> None:
        masks: Masks = self.state.masks
        self._masked: list[torch.Tensor] = [self.weights[name] for name in masks]
        self._masks = list(masks.values())
        self.zeros = {name: count_zeros(mask) for name, mask in masks.items()}

    def _average_modules(self) -> Iterator[nn.Module]:
        for average in self.averages:
            yield average.module if isinstance(average, AveragedModel) else average
