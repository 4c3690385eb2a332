"""Whether the graph that was found in a module computes what the module does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import nn

from pruneflow.deploy.measure.gate import HEADROOM, reference
from pruneflow.deploy.module_state import own_copy
from pruneflow.deploy.network import Network, opaque
from pruneflow.errors import DeployError

LOOSE = 1e-3
"""Of the largest output, for modules that do not run in float64."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Context: a copy in evaluation mode.

    Of a module that cannot be copied it is the module itself; each of its parts is in the mode
    it was in afterwards.
    """
    copied = None
    with suppress(DeployError):
        copied = own_copy(module)
    if copied is not None:
        yield copied
        return
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for each, mode in modes:
            each.training = mode


def faithful(network: Network, module: nn.Module, inputs: torch.Tensor) -> Network:
    """The network, or the module as it is where its graph computes something else.

    The reference that engines are checked against is the graph's: an error in the graph itself
    is found here or never.

    Args:
        network: What was found in the module.
        module: In evaluation mode.
        inputs: float32 (n, ...).

    Raises:
        DeployError: The module cannot run them, or holds numbers that are not finite.
    """
    if network.graph is None:
        return network
    for name, tensor in network.tensors.items():
        if bad := int((~torch.isfinite(tensor)).sum()):
            raise DeployError(f"'{name}': {bad} of its numbers are NaN or infinite")
    right = reference(network, inputs)
    try:
        with torch.no_grad():
            outputs = module(inputs.clone())
    except Exception as error:
        raise DeployError(f"the network cannot run a batch of {len(inputs)}: {error}") from error
    allowed = LOOSE * right.outputs.abs().max() + HEADROOM * right.bound
    try:
        with torch.no_grad():
            outputs = own_copy(module).double()(inputs.double())
        allowed = right.bound
    except (RuntimeError, DeployError):  # it makes float32 tensors of its own, or has no copy
        pass
    if outputs.shape != right.outputs.shape:
        return opaque(module, inputs, "its graph returns another shape")
    off = (outputs - right.outputs).abs()
    if bool((off <= allowed).all()):
        return network
    return opaque(module, inputs, f"its graph is off by {float(off.max()):.2g}")
