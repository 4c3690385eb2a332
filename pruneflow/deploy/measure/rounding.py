"""How far off a float32 evaluation of a network may be, whatever the order of its sums.

Beside every result in float64 go two bounds on its error. The *certain* one holds always: a sum
of n terms is off by at most gamma(n) = n u / (1 - n u) times the sum of their magnitudes,
u = 2^-24 (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1), and
errors of inputs pass through a layer by the magnitudes of its weights. It multiplies up layer by
layer, and says nothing about a deep network.

The *likely* one takes rounding errors for independent: sqrt(n) u in place of gamma(n), and errors
of inputs add up as squares (Higham & Mary 2019, "A new approach to probabilistic rounding error
analysis", theorem 2.4, with LAMBDA for its lambda).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod, sqrt
from typing import cast

import torch

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import OPS
from pruneflow.deploy.place import CPU, Place

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32."""

TINIEST = torch.finfo(torch.float32).tiny
LAMBDA = 4.0
"""How many times the likely error is accounted for; no engine here came to more than 0.4 of it."""


@dataclass(frozen=True)
class Bounded:
    """A result in float64, and what a float32 evaluation may be off by.

    Attributes:
        value: (n, ...).
        certain: Never exceeded.
        likely: Not exceeded by LAMBDA times, as far as errors are independent.
    """

    value: torch.Tensor
    certain: torch.Tensor
    likely: torch.Tensor

    @property
    def bound(self) -> torch.Tensor:
        """The smaller of both."""
        return torch.minimum(self.certain, LAMBDA * self.likely + TINIEST)


def bounded(
    graph: Graph, tensors: Mapping[str, torch.Tensor], inputs: torch.Tensor, place: Place = CPU
) -> Bounded:
    """The outputs of a network.

    Args:
        graph: The network.
        tensors: Its weights and biases; float32 numbers.
        inputs: (n, *input_shape), float32 numbers.
        place: Where it runs: an engine may store every result in the place's dtype.
    """
    exact = inputs.double()
    none = torch.zeros_like(exact)
    results = {INPUT: Bounded(exact, none, none)}
    for node in graph.nodes:
        result = _step(node, tensors, [results[name] for name in node.inputs], place)
        results[node.name] = _stored(result, place)
    return results[graph.output]


def gamma(terms: int) -> float:
    """The relative error of a sum of so many rounded terms."""
    return terms * UNIT / (1 - terms * UNIT)


def _stored(result: Bounded, place: Place) -> Bounded:
    """A result after it was rounded to a place's dtype."""
    if not place.unit:
        return result
    smallest = torch.finfo(place.dtype).tiny * place.unit
    rounded = place.unit * (result.value.abs() + result.certain) + smallest
    likely = (result.likely**2 + rounded**2 / 3).sqrt()  # uniform between its extremes
    return Bounded(result.value, result.certain + rounded, likely)


def _step(
    node: Node, tensors: Mapping[str, torch.Tensor], inputs: list[Bounded], place: Place
) -> Bounded:
    if node.weight is not None:
        return _weighted(node, tensors, inputs[0], place)

    def run(*values: torch.Tensor) -> torch.Tensor:
        return OPS[node.op].run(*values, **node.options)

    value = run(*(each.value for each in inputs))
    x = inputs[0]
    if node.op == "add":
        return _sum(value, x, inputs[1])
    if node.op in ("avg_pool2d", "global_avg_pool"):
        kernel = node.options.get("kernel", list(x.value.shape[2:]))
        assert isinstance(kernel, list)
        return _mean(value, x, gamma(prod(kernel) + 2), run)
    if node.op == "softmax":
        return _softmax(value, x)
    if node.op in ("max_pool2d", "flatten"):
        return Bounded(value, run(x.certain), run(x.likely))
    if node.op == "leaky_relu":
        steepest = max(1.0, abs(float(cast(float, node.options["slope"]))))
        certain, likely = steepest * x.certain, steepest * x.likely
        rounded = gamma(2) * (value.abs() + certain) + TINIEST  # the slope is rounded as well
        return Bounded(value, certain + rounded, likely + rounded)
    return Bounded(value, x.certain, x.likely)  # relu and relu6 bring numbers nearer to each other


def _weighted(node: Node, tensors: Mapping[str, torch.Tensor], x: Bounded, place: Place) -> Bounded:
    assert node.weight is not None
    weight = tensors[node.weight].double()
    bias = None if node.bias is None else tensors[node.bias].double()
    magnitude = None if bias is None else bias.abs()
    terms = weight[0].numel() + 3  # a bias, and a scale that is multiplied before or afterwards

    def run(value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return OPS[node.op].run(value, weight, bias, **node.options)

    passed = run(x.certain, weight.abs(), None)
    at_most = run(x.value.abs() + x.certain, weight.abs(), magnitude)
    squares = run(x.likely**2, weight**2, None).clamp(min=0)
    about = run(x.value.abs(), weight.abs(), magnitude)
    certain = passed + gamma(terms) * at_most + terms * TINIEST
    likely = squares.sqrt() + sqrt(terms) * UNIT * about
    if bias is not None and place.unit:  # cuDNN and cuSPARSE store a sum before its bias is added
        stored = _stored(Bounded(run(x.value, weight, None), certain, likely), place)
        certain, likely = stored.certain, stored.likely
    return Bounded(run(x.value, weight, bias), certain, likely)


def _sum(value: torch.Tensor, a: Bounded, b: Bounded) -> Bounded:
    rounded = UNIT * (a.value.abs() + b.value.abs())
    certain = (1 + UNIT) * (a.certain + b.certain) + rounded
    return Bounded(value, certain, (a.likely**2 + b.likely**2).sqrt() + rounded)


def _mean(
    value: torch.Tensor, x: Bounded, off: float, run: Callable[[torch.Tensor], torch.Tensor]
) -> Bounded:
    certain = run(x.certain) + off * run(x.value.abs() + x.certain) + TINIEST
    # a plain background is one number added again and again: that does not round at random
    return Bounded(value, certain, run(x.likely) + off * run(x.value.abs()))


def _softmax(value: torch.Tensor, x: Bounded) -> Bounded:
    """Exponents that are off by q make a share y off by a factor of at most exp(D),
    D = q + log(sum of y exp(q)), and never more than 1.
    """
    below = x.value.amax(1, keepdim=True) - x.value
    logs = x.value.log_softmax(1)
    # the difference from the largest, times log2(e), which is rounded as well; then the exponential
    rounded = UNIT * (3 * below + 8)
    spread = x.certain + x.certain.amax(1, keepdim=True)
    off = x.certain + rounded + 3 * UNIT * spread
    certain = off + (logs + off).logsumexp(1, keepdim=True)
    squares = (value * x.likely) ** 2
    own = (1 - 2 * value) * x.likely**2 + squares.sum(1, keepdim=True)
    likely = own.clamp(min=0).sqrt() + rounded + (value * rounded).sum(1, keepdim=True)
    terms = gamma(x.value.shape[1] + 8)  # equal numbers do not round at random: see _mean

    def by(factor: torch.Tensor) -> torch.Tensor:
        """y (exp(D) - 1); with a share of at most 1, no more than 1 - exp(-D)."""
        return (logs + factor).clamp(max=0).exp() * -torch.expm1(-factor)

    at_most, about = by(certain), by(LAMBDA * likely) / LAMBDA
    return Bounded(
        value, at_most + terms * (value + at_most) + 2 * TINIEST, about + terms * (value + about)
    )
