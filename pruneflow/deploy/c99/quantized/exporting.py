"""A unit of floats made one of bytes, and what its C code is held to."""

from __future__ import annotations

import torch

from pruneflow.deploy.accuracy import Classification
from pruneflow.deploy.c99.quantized.ranges import ranges_of
from pruneflow.deploy.c99.quantized.reference import outputs_of
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit, quantized
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.measure.gate import Reference
from pruneflow.deploy.network import Network

EPSILON = 2.0**-23
"""Of float32."""
TINY = 2.0**-126
EXPF = 8
"""Roundings in one value of a softmax, besides one for each number that is summed up."""


def in_bytes(unit: Unit, network: Network, data: Classification) -> QuantizedUnit:
    """A unit whose results are bytes.

    Args:
        unit: With weights in int8.
        network: The same network, with the weights as they are stored.
        data: Inputs that ranges are calibrated with, all of them.

    Raises:
        DeployError: It has an operation that there is none for in integers, or sums that do not
            fit 32 bits.
    """
    assert network.graph is not None
    inputs = (batch for batch, _ in data.batches)
    return quantized(unit, ranges_of(network.graph, network.tensors, inputs))


def integer_reference(unit: QuantizedUnit, right: Reference) -> Reference:
    """What the C code has to give, to a rounding of float32, instead of what the network would.

    Args:
        unit: What the code is written from.
        right: The inputs, and the shape of the outputs.
    """
    outputs = outputs_of(unit, right.inputs).reshape(right.outputs.shape).double()
    roundings = unit.outputs + EXPF if unit.uses_expf else 1
    bound = roundings * EPSILON * outputs.abs() + TINY
    return Reference(right.inputs, outputs, torch.as_tensor(bound), "integers")
