"""torch.export of a person's module, which stays exactly as it was."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn.parameter import is_lazy

from pruneflow.deploy.tracing.calls import UnsupportedGraphError
from pruneflow.errors import DeployError


def export(module: nn.Module, example: torch.Tensor) -> ExportedProgram:
    """The functional program of a module in evaluation mode; to be called under ``no_grad``.

    Args:
        module: Left as it was: modes, attributes, gradients.
        example: Inputs (n, ...) of a floating dtype, on the module's device.

    Raises:
        DeployError: The example is no batch, or the module is not initialized, or is TorchScript.
        UnsupportedGraphError: torch.export cannot follow the module.
    """
    if example.dim() < 2 or len(example) == 0 or not example.is_floating_point():
        raise DeployError("the example has to be a batch of floating-point inputs: (n, ...), n > 0")
    if any(is_lazy(held) or held.is_meta for held in (*module.parameters(), *module.buffers())):
        raise DeployError("weights have no values yet: run the network once before deploying it")
    if any(isinstance(each, torch.jit.ScriptModule) for each in module.modules()):
        raise DeployError("the network holds TorchScript: give the module it was made from")
    with _kept(module), _quiet():
        batch = example.detach().clone()
        if len(batch) == 1:  # or a size of one could not be told from the batch
            batch = torch.cat([batch, batch])
        module.eval()
        try:
            program = torch.export.export(module, (batch,), strict=False)
            functional: ExportedProgram = program.run_decompositions({})
            return functional
        except Exception as error:
            first = next(iter(str(error).splitlines()), "")
            raise UnsupportedGraphError(
                f"torch.export cannot follow this network: {type(error).__name__}: {first}"
            ) from error


@contextmanager
def _kept(module: nn.Module) -> Iterator[None]:
    """Put every attribute of every submodule back: torch.export leaves fake tensors behind."""
    inner = ("_parameters", "_buffers", "_modules")
    kept = [
        (vars(each), dict(vars(each)), {name: dict(vars(each)[name]) for name in inner})
        for each in module.modules()
    ]
    try:
        yield
    finally:
        for attributes, before, tables in kept:
            attributes.clear()
            attributes.update(before)
            for name, table in tables.items():
                attributes[name].clear()
                attributes[name].update(table)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch.export says beside its errors, which no person can do anything about."""
    names = ("torch.fx.experimental.symbolic_shapes", "torch._subclasses.fake_tensor")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.filterwarnings("ignore", r".*treespec, LeafSpec", FutureWarning)
            warnings.filterwarnings("ignore", "The tensor attributes? .* assigned during export")
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)
            warnings.filterwarnings("ignore", "Unable to find the path of the module", UserWarning)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
