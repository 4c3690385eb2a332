"""The network under the knife: a model, its optimizers and schedulers, and their PruneState."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from pruneflow.averaged import averaged_copy
from pruneflow.errors import FrozenMaskError, NonFiniteError, ResumeError, TrainingError
from pruneflow.optimizer_memory import mask_memory
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.criteria import CRITERIA, Criterion
from pruneflow.pruning.gathering import GatheredScore
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.masks import not_finite, put_back, unlike, zeros_of
from pruneflow.pruning.oneshot.calibration import Calibration
from pruneflow.pruning.scoring import streams
from pruneflow.pruning.shards import fitted, like, local, locals_of, ranks_of
from pruneflow.state import PruneState


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
        masked: All weights that have a mask, and these masks.
        zeros: Pruned weights of every layer that has a mask.
        averages: Modules that hold averaged copies of the weights; they are masked too.
        calibration: What the network can be watched on, if there is anything.
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
        self.calibration: Calibration | None = None
        self.state = state
        self.seed = seed
        self.weights = dict(model.named_parameters())
        for name, mask in state.masks.items():
            if name not in self.weights or self.weights[name].shape != mask.shape:
                raise ResumeError(
                    f"the checkpoint's mask of '{name}' fits no weight of this network"
                )
        self._place_masks()
        for totals in state.scores.values():
            totals.update({name: fitted(t, self.weights[name]) for name, t in totals.items()})
        self._exact: set[int] = set()
        self._pair_up()

    # -- every step ------------------------------------------------------------------------

    def apply_masks(self) -> None:
        """Put pruned weights back to +0.0."""
        put_back(*self.masked)

    @torch.no_grad()
    def mask_gradients(self, names: Collection[str] | None = None) -> None:
        """Take pruned weights out of gradients, so that neither momentum nor norm sees them.

        Args:
            names: Of these weights; by default of all.
        """
        masks, weights = self.state.masks, self.weights
        chosen = masks if names is None else [name for name in names if name in masks]
        gradients = {name: grad for name in chosen if (grad := weights[name].grad) is not None}
        if gradients:
            kept = [masks[name] for name in gradients]
            torch._foreach_mul_(locals_of(gradients.values()), locals_of(kept))

    # -- events ----------------------------------------------------------------------------

    def prune(
        self,
        names: Sequence[str],
        quota: Quota,
        criterion: str,
        granularity: Granularity = UNSTRUCTURED,
        key: str = "",
    ) -> None:
        """Mask the lowest-scoring weights until the quota is met; pruned ones stay pruned.

        Args:
            names: Of the weights.
            quota: How many are to go.
            criterion: Scores them.
            granularity: What goes together.
            key: Where their scores were gathered, for a criterion that gathers them.

        Raises:
            NonFiniteError: A weight is NaN or infinite.
            FrozenMaskError: The mask of one of the layers is frozen.
            TrainingError: A weight has had no gradient to be scored by.
        """
        self.require_finite(names)
        quota = self.remaining(quota)
        how = CRITERIA[criterion]
        scores = streams(self.scored(names, how, key), self.state.masks, how, self.generator)
        weights = {name: self.weights[name] for name in names}
        shapes = {name: tuple(local(weight).shape) for name, weight in weights.items()}
        pruned = granularity.choose(scores, shapes, quota, ranks_of(weights))
        self.install({name: pruned.pop(name).logical_not_() for name in names})
        if isinstance(how, GatheredScore) and how.since != "start":
            self.state.scores.pop(key, None)

    def remaining(
        self,
        quota: Quota,
        removed: Mapping[str, int] | None = None,
        pruned: Mapping[str, int] | None = None,
    ) -> Quota:
        """A quota of the network as it was at first, for what is there of it now.

        Args:
            quota: In weights of layers, or in whatever the others are counted in.
            removed: What was taken out; by default weights of layers.
            pruned: What is there and pruned; by default weights of layers.

        Raises:
            TrainingError: More is gone already.
        """
        removed = self.state.removed if removed is None else removed
        try:
            return quota.remaining(removed, self.zeros if pruned is None else pruned)
        except ValueError as error:
            raise TrainingError(
                f"pruned weights do not grow back, but at step {self.state.clock} {error}: "
                "prune more, or before channels are removed"
            ) from None

    def scored(self, names: Sequence[str], how: Criterion, key: str) -> dict[str, torch.Tensor]:
        """What a criterion scores: the weights, or what it has gathered for them.

        Raises:
            TrainingError: There was no gradient to gather, or none that is finite.
        """
        if not isinstance(how, GatheredScore):
            return {name: self.weights[name] for name in names}
        gathered = how.of(names, self.state.scores.get(key, {}), self.state.clock)
        return {name: fitted(total, self.weights[name]) for name, total in gathered.items()}

    def freeze(self, names: Sequence[str]) -> None:
        """Fix masks; a layer without one takes the zeros its weights hold."""
        fresh = [name for name in names if name not in self.state.masks]
        self.require_finite(fresh)
        self.install({name: local(self.weights[name]).ne(0) for name in fresh})
        self.state.frozen.update(names)

    @torch.no_grad()
    def enforce(self, begins: bool = False) -> None:
        """Make weights, their averages and the optimizers' memory agree with the masks.

        Args:
            begins: This is no event: what events left in the optimizers' memory stays.
        """
        self.apply_masks()
        for average in self.average_modules():
            parameters = dict(average.named_parameters())
            for name, mask in self.state.masks.items():
                local(parameters[name]).mul_(local(mask)).add_(0.0)
        pairs = dict(zip(*self.masked, strict=True))
        self._exact = {id(o) for o in self.optimizers if mask_memory(o, pairs, begins)}

    def is_exact(self, optimizer: Optimizer) -> bool:
        """Whether a pruned weight with no gradient does not move in its updates."""
        return id(optimizer) in self._exact

    def rebind(self, begins: bool = False) -> None:
        """Follow parameters that were replaced since the last time; their masks stay.

        Args:
            begins: This is no event.

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
        self._place_masks()
        self._pair_up()
        self.enforce(begins)

    # -- inside ----------------------------------------------------------------------------

    def generator(self, name: str) -> torch.Generator:
        """A generator that depends on the seed, the step and the name alone."""
        key = f"{self.seed}/{self.state.clock}/{name}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:7], "big")
        return torch.Generator().manual_seed(seed)

    def require_finite(self, names: Iterable[str]) -> None:
        if bad := not_finite({name: self.weights[name] for name in names}):
            raise NonFiniteError(
                f"'{bad[0]}' holds NaN or infinite weights at step {self.state.clock}: the "
                "training diverged (a lower learning rate or gradient clipping may help)"
            )

    def install(self, kept: Mapping[str, torch.Tensor]) -> None:
        """Make masks of booleans (True where what is here is kept), in place where there is one."""
        masks = self.state.masks
        frozen = {name: masks[name] for name in kept if name in self.state.frozen}
        if changed := unlike(frozen, kept):
            raise FrozenMaskError(
                f"the mask of '{changed[0]}' is frozen, but at step {self.state.clock} it was "
                "about to change"
            )
        for name, keep in kept.items():
            weight = local(self.weights[name])
            shaped = keep.view(weight.shape)
            if name in masks:
                local(masks[name]).copy_(shaped)
            else:
                masks[name] = like(shaped.to(weight), self.weights[name])
        self._pair_up()
        self.enforce()

    def _place_masks(self) -> None:
        masks = self.state.masks
        for name, mask in masks.items():
            masks[name] = fitted(mask, self.weights[name]).to(self.weights[name].dtype)

    def _pair_up(self) -> None:
        weights: list[torch.Tensor] = [self.weights[name] for name in self.state.masks]
        self.masked = (weights, list(self.state.masks.values()))
        self.zeros = zeros_of(self.state.masks)

    def average_modules(self) -> Iterator[nn.Module]:
        """The averaged copies of the network themselves."""
        for average in self.averages:
            if (copied := averaged_copy(average, self.state.masks or self.weights)) is None:
                raise TrainingError(f"{type(average).__name__} holds no average of this network")
            yield copied
