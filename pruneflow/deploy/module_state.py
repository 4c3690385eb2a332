"""A module's state: copied, read, and given back."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from pruneflow.deploy.place import Place
from pruneflow.errors import DeployError
from pruneflow.module_tensors import load_tensors, tensors_in


def own_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, of modules too that keep results (``torch.nn.utils.prune``).

    Raises:
        DeployError: It cannot be copied.
    """
    results = {
        id(value): value.detach().clone()
        for each in module.modules()
        for value in vars(each).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(module, results).eval()
    except Exception as error:
        raise DeployError(f"the network cannot be copied: {error}") from error


def placed(module: nn.Module, place: Place) -> nn.Module:
    """A copy on a device, its numbers in the dtype used there."""
    return own_copy(module).to(place.device, place.dtype)


def load_state(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a module its numbers, all of them or none; what else its state holds stays.

    Raises:
        DeployError: It is another network's state.
    """
    state, first = state_of(module), first_names(module)
    problems = [f"it has no '{name}'" for name in tensors if name not in first.values()]
    for name, held in first.items():
        if held not in tensors:
            problems.append(f"the bundle has no '{name}'")
        elif tensors[held].shape != state[name].shape:
            there, here = tuple(tensors[held].shape), tuple(state[name].shape)
            problems.append(f"'{name}' is {here}, and {there} in the bundle")
    if problems:
        more = f" and {len(problems) - 1} more" * (len(problems) > 1)
        raise DeployError(
            f"the module is not the one the bundle was made from: {problems[0]}{more}"
        )
    with torch.inference_mode(any(tensor.is_inference() for tensor in state.values())):
        load_tensors(module, {name: tensors[held] for name, held in first.items()})


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """A module's parameters and buffers themselves, by their names in ``state_dict``."""
    return tensors_in(module.state_dict(keep_vars=True))


def first_names(module: nn.Module) -> dict[str, str]:
    """For every name in the state the first one of the same, perhaps shared, tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(value), name) for name, value in state_of(module).items()}
