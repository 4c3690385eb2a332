"""Whether an engine computes the network, within what float32 can account for.

The reference runs in float64; ``rounding`` says how far off float32 may be.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import inf

import torch

from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.measure.rounding import bounded, gamma
from pruneflow.deploy.module_state import placed
from pruneflow.deploy.network import Network
from pruneflow.deploy.place import CPU, Place, name_of
from pruneflow.errors import DeployError

HEADROOM = 4
"""For a module that is no graph: an engine may be off by so many times dense torch's own error."""


@dataclass(frozen=True)
class Reference:
    """What the right outputs are, and how far off an engine may be.

    Attributes:
        inputs: float32 (n, ...).
        outputs: float64 (n, ...).
        bound: For each output.
        precision: What they were computed in.
        place: Where engines run.
    """

    inputs: torch.Tensor
    outputs: torch.Tensor
    bound: torch.Tensor
    precision: str = "float64"
    place: Place = CPU

    def judge(self, run: Run, batch: int) -> Verdict:
        """Compare an engine's outputs, a batch at a time."""
        with torch.inference_mode():
            parts = (self.place.put(part) for part in torch.split(self.inputs, batch))
            found = torch.cat([run(part).cpu().double() for part in parts])
        if found.shape != self.outputs.shape:
            return Verdict(False, float("inf"), 0.0)
        error = (found - self.outputs).abs()
        worst = int((error / self.bound).nan_to_num(torch.inf).argmax())
        passed = bool((error <= self.bound).all())  # NaN is not
        nearest = (float(each.reshape(-1)[worst]) for each in (error, self.bound))
        return Verdict(passed, *nearest)


@dataclass(frozen=True)
class Verdict:
    """What a comparison found.

    Attributes:
        passed: Every output lies within its bound.
        error: The difference at the output that came nearest to its bound, or went furthest past.
        bound: The bound of that output.
    """

    passed: bool
    error: float
    bound: float

    @property
    def share(self) -> float:
        """The error as a share of its bound."""
        return self.error / self.bound if self.bound else inf * self.error


def reference(network: Network, inputs: torch.Tensor) -> Reference:
    """The right outputs of a network for float32 inputs (n, ...), rounded as its place has them.

    Raises:
        DeployError: They are not finite.
    """
    place = network.place
    inputs = place.rounded(inputs)
    with torch.no_grad():
        if network.graph is None:
            return _finite(_observed(network, inputs))
        right = bounded(network.graph, network.tensors, inputs, place)
    return _finite(Reference(inputs, right.value, right.bound, place=place))


def _finite(right: Reference) -> Reference:
    if not bool(torch.isfinite(right.outputs).all()):
        raise DeployError("the network's outputs are not finite: nothing can be checked")
    return right


def _observed(network: Network, inputs: torch.Tensor) -> Reference:
    """For a module that is no graph: dense torch's own error says what float32 can do."""
    assert network.module is not None
    place = network.place
    runs_in = network.module if place == CPU else placed(network.module, place)
    single = runs_in(place.put(inputs.clone())).cpu().double()
    precision = "float64"
    try:
        outputs = copy.deepcopy(network.module).double()(inputs.double())
    except RuntimeError:  # it makes float32 tensors of its own
        outputs, precision = single, name_of(place.dtype)
    longest = max((network.tensors[name][0].numel() for name in network.weights), default=1)
    least = (gamma(longest) + place.unit) * outputs.abs().max()
    bound = float(HEADROOM * (single - outputs).abs().max() + least)
    return Reference(inputs, outputs, torch.full_like(outputs, bound), precision, place)
