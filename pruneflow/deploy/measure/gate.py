"""Whether an engine computes the network, within what float32 can account for.

The reference runs in float64; ``rounding`` says how far off float32 may be.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.measure.rounding import bounded, gamma
from pruneflow.deploy.network import Network
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
    """

    inputs: torch.Tensor
    outputs: torch.Tensor
    bound: torch.Tensor

    def judge(self, run: Run, batch: int) -> Verdict:
        """Compare an engine's outputs, a batch at a time."""
        with torch.inference_mode():
            found = torch.cat([run(part).double() for part in torch.split(self.inputs, batch)])
        if found.shape != self.outputs.shape:
            return Verdict(False, float("inf"), 0.0)
        error = (found - self.outputs).abs()
        worst = int((error / self.bound).argmax())
        passed = bool((error <= self.bound).all())  # NaN is not
        return Verdict(passed, float(error.max()), float(self.bound.reshape(-1)[worst]))


@dataclass(frozen=True)
class Verdict:
    """What a comparison found.

    Attributes:
        passed: Every output lies within its bound.
        error: The largest difference.
        bound: The bound of the output that came nearest to its own.
    """

    passed: bool
    error: float
    bound: float


def reference(network: Network, inputs: torch.Tensor) -> Reference:
    """The right outputs of a network for float32 inputs (n, ...).

    Raises:
        DeployError: They are not finite.
    """
    with torch.no_grad():
        if network.graph is not None:
            right = bounded(network.graph, network.tensors, inputs)
            outputs, bound = right.value, right.bound
        else:
            outputs, bound = _observed(network, inputs)
    if not bool(torch.isfinite(outputs).all()):
        raise DeployError("the network's outputs are not finite: nothing can be checked")
    return Reference(inputs, outputs, bound)


def _observed(network: Network, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For a module that is no graph: dense torch's own error says what float32 can do."""
    assert network.module is not None
    single = network.module(inputs).double()
    try:
        outputs = copy.deepcopy(network.module).double()(inputs.double())
    except RuntimeError:  # it makes float32 tensors of its own
        outputs = single
    longest = max((network.tensors[name][0].numel() for name in network.weights), default=1)
    least = gamma(longest) * outputs.abs().max()
    return outputs, torch.full_like(
        outputs, float(HEADROOM * (single - outputs).abs().max() + least)
    )
