"""``iterative_prune``: rounds of prune, rewind and retrain; the lottery ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.channels import not_of_weights
from pruneflow.modifiers.duties import Duty
from pruneflow.modifiers.events import Event, RateRewind
from pruneflow.modifiers.fields import (
    FRACTION,
    SPARSITY,
    Choice,
    Count,
    Duration,
    Instant,
    PerLayer,
    option,
)
from pruneflow.modifiers.gathered import gatherings, require_gradients
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spreading import SpreadsZeros, layer_cap, layer_floor
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.rounds import rounds
from pruneflow.pruning.scope import Layer, per_pattern
from pruneflow.timeline import Horizon, Moment, Time, exact, nearest, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network

INIT = parse_time("0st")
MAX_ROUNDS = 1000
DENSE = "dense_equal_epochs"
CONTROLS = ("none", "random_reinit", "random_mask", DENSE)


@modifier("iterative_prune")
@dataclass(frozen=True, kw_only=True)
class IterativePrune(SpreadsZeros, TargetedModifier):
    """Train, prune a fraction of what remains, rewind, and train again, round after round.

    With ``rounds`` each round prunes ``round(fraction x remaining)`` weights of every layer.
    With ``sparsity`` there are as many rounds as it takes, and the last one prunes just what is
    left to prune. The run ends with a trained network: one more span of training follows the
    last round.
    """

    paper = "Frankle & Carbin 2019, arXiv:1803.03635; Renda et al. 2020, arXiv:2003.02389"
    example = {"rounds": 2, "every": "1ep", "rewind_to": "init"}
    owns_masks = True
    resolved = frozenset({"every", "rounds", "sparsity", "fraction", "start", "allocation"})

    every: Time = option(Duration(), "training between two prunings")
    rounds: int | None = option(Count(1), "number of prunings; or give 'sparsity'", None)
    sparsity: float | None = option(
        SPARSITY, "prune until this share of the targeted weights is zero; or give 'rounds'", None
    )
    fraction: float | dict[str, float] = option(
        PerLayer(FRACTION), "share of the remaining weights that a round prunes", 0.2
    )
    start: Moment | None = option(
        Instant(), "the first pruning; default: rewind_to + every, so all rounds train alike", None
    )
    rewind: str = option(
        Choice(("weights+lr", "lr", "none")),
        "what goes back after a pruning: weights, buffers, optimizer and schedule; "
        "the schedule alone; or nothing",
        "weights+lr",
    )
    rewind_to: Time = option(
        Instant(label="init, or a time", words=(("init", INIT),)),
        "the moment that rewinding goes back to",
        INIT,
    )
    criterion: str = option(Choice(CRITERIA), "which weights go first", "magnitude")
    allocation: str = option(
        Choice(("per_layer", "global")),
        "prune the fraction of each layer, or of all layers together",
        "per_layer",
    )
    max_layer_sparsity: float = layer_cap()
    min_nonzeros: int | None = layer_floor(
        "weights every layer keeps; default: one, and under 'global' one for each output unit or "
        "about the layer's uniform share where that is less"
    )
    control: str = option(
        Choice(CONTROLS),
        "a control experiment: the last round's masks with fresh initial weights (needs "
        "'rewind_to: init'), or as many weights at random places, or nothing pruned and no weight "
        "rewound in a training of the same length and rates",
        "none",
    )

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        found = not_of_weights(self.criterion)
        if (self.rounds is None) == (self.sparsity is None):
            found.append(("", "give exactly one of 'rounds' and 'sparsity'"))
        if self.rounds is not None and self.rounds > MAX_ROUNDS:
            found.append(("rounds", f"{self.rounds} is more than {MAX_ROUNDS}"))
        if not isinstance(self.rewind_to, Time):
            found.append(("rewind_to", "needs 'init' or a time such as 1ep"))
        elif self.rewind == "none" and self.rewind_to != INIT:
            found.append(("rewind_to", "means nothing with 'rewind: none'"))
        if isinstance(self.fraction, Mapping) and self.allocation == "global":
            found.append(("fraction", "a fraction for each layer needs 'allocation: per_layer'"))
        if self.control in ("random_reinit", "random_mask") and self.rewind != "weights+lr":
            text = f"'{self.control}' starts from rewound weights: it needs 'rewind: weights+lr'"
            found.append(("control", text))
        if self.control == "random_reinit" and self.rewind_to != INIT:
            found.append(
                (
                    "rewind_to",
                    "'control: random_reinit' draws initial weights anew: "
                    "it needs 'rewind_to: init'",
                )
            )
        return found

    @property
    def needs_whole(self) -> tuple[str, Any] | None:
        """See base class."""
        return ("control", self.control) if self.control.startswith("random") else None

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        steps = self._steps(site)
        return steps[0], steps[-1]

    def needed_steps(self, site: Site) -> int:
        """See base class."""
        return self.span(site)[1] + site.duration(self, "every")

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        names = site.names(self)
        events = []
        if self.rewind != "none":
            back_to = site.step(self, "rewind_to")
            events.append(Event(back_to, self.name, "snapshot", label="keep for rewinding"))
        quotas, steps = self._quotas(site), self._steps(site)
        require_gradients(self.criterion, steps[0])
        for number, (step, quota) in enumerate(zip(steps, quotas, strict=True), 1):
            last = number == len(steps)
            if self.control != DENSE:
                label = f"round {number} of {len(steps)}"
                events.append(Event(step, self.name, "prune", names, quota, label, last))
            if self.rewind != "none":
                label = f"{self._rewound} to {self._origin}"
                if self.control == DENSE or (last and self.control != "none"):
                    label += f", {self.control}"
                events.append(Event(step, self.name, "rewind", names, None, label, last))
        return events

    def duties(self, site: Site) -> Sequence[Duty]:
        """See base class."""
        names = site.names(self)
        steps = [] if self.control == DENSE else self._steps(site)
        return gatherings(self.name, names, steps, CRITERIA[self.criterion], self.name)

    def rate_rewinds(self, site: Site) -> Sequence[RateRewind]:
        """See base class."""
        if self.rewind == "none":
            return ()
        back_to = site.step(self, "rewind_to")
        return [RateRewind(step, back_to) for step in self._steps(site)]

    def rate_horizon(self, site: Site) -> Horizon | None:
        """See base class."""
        if self.rewind == "none":
            return None
        length = site.step(self, "rewind_to") + site.duration(self, "every")
        return Horizon(site.horizon.steps_per_epoch, length)

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        from pruneflow.operations import exchanging, rewinding

        if event.action == "snapshot":
            rewinding.take_snapshot(network, self.name, weights=self._rewound == "weights+lr")
        elif event.action == "prune":
            assert event.quota is not None
            network.prune(event.layers, event.quota, self.criterion, key=self.name)
            if event.last and self.control == "random_mask":
                exchanging.shuffle_masks(network, event.layers)
        else:
            rewinding.rewind(network, self.name)
            if event.last and self.control == "random_reinit":
                rewinding.redraw_weights(network, self.name)

    @property
    def _rewound(self) -> str:
        """What really goes back: in a dense control weights train on."""
        return "lr" if self.control == DENSE and self.rewind != "none" else self.rewind

    @property
    def _origin(self) -> str:
        return "init" if self.rewind_to == INIT else str(self.rewind_to)

    def _steps(self, site: Site) -> list[int]:
        """The step of every pruning."""
        every = site.duration(self, "every")
        back_to = site.step(self, "rewind_to") if self.rewind != "none" else 0
        start = back_to + every if self.start is None else site.step(self, "start")
        if self.rewind != "none" and start <= back_to:
            raise FieldError(
                "start",
                f"the first pruning (step {start}) has to come after the "
                f"moment that rewinding goes back to (step {back_to})",
            )
        return [start + every * number for number in range(len(self._quotas(site)))]

    def _quotas(self, site: Site) -> list[Quota]:
        """The quota of every round."""
        layers = site.chosen(self)
        sizes = {layer.name: layer.size for layer in layers}
        caps = self.guard.caps(layers, 1.0)
        if self.allocation == "global":
            assert not isinstance(self.fraction, Mapping)
            whole = sum(sizes.values())
            zeros = self._zeros({"": whole}, {"": sum(caps.values())}, {"": self.fraction})
            totals = [each[""] for each in zeros]
            return [Quota(total, None, self.guard.caps(layers, total / whole)) for total in totals]
        return [Quota.fixed(zeros) for zeros in self._zeros(sizes, caps, self._shares(layers))]

    def _zeros(
        self, sizes: Mapping[str, int], caps: Mapping[str, int], shares: Mapping[str, float]
    ) -> list[dict[str, int]]:
        """Zeros after every round, in each layer."""
        goal = None
        if self.sparsity is not None:
            goal = nearest(exact(self.sparsity) * sum(sizes.values()))
        try:
            return rounds(sizes, caps, shares, self.rounds or MAX_ROUNDS, goal)
        except ValueError as error:
            text = f"{self.sparsity:g} {error} of 'fraction: {self.fraction}'"
            raise FieldError("sparsity", text) from None

    def _shares(self, layers: Sequence[Layer]) -> dict[str, float]:
        if not isinstance(self.fraction, Mapping):
            return {layer.name: self.fraction for layer in layers}
        try:
            return per_pattern(self.fraction, layers)
        except ValueError as error:
            raise FieldError("fraction", str(error)) from None
