"""Teachers: tensors with which a network runs as another one, kept beside its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneflow import tensor_file, weights_file
from pruneflow.errors import TrainingError
from pruneflow.network import Network
from pruneflow.pruning.masks import is_finite
from pruneflow.snapshots import tensors_of
from pruneflow.state import detached_copy

Tensors = dict[str, torch.Tensor]


def keep(network: Network, key: str, file: Path | None) -> None:
    """Keep a teacher in ``PruneState.snapshots[key]``, so that it rides in checkpoints.

    Args:
        network: Is the teacher as it is now, unless there is a file.
        key: Where to keep it.
        file: What to read it from.

    Raises:
        TrainingError: The file cannot be read, or is of another network.
    """
    try:
        tensors = tensors_of(network.model) if file is None else read(file, network.model)
    except ValueError as error:
        raise TrainingError(f"modifiers.{key}: {error}") from None
    network.state.snapshots[key] = {"tensors": detached_copy(tensors)}


def read(file: Path, model: nn.Module) -> Tensors:
    """A network's parameters and buffers from a file, on the CPU; nothing in it is run.

    Args:
        file: Of safetensors, or a checkpoint: what ``state_dict`` gave, or that under the key
            ``state_dict``.
        model: Whose names and shapes they have; buffers that it leaves out of its ``state_dict``
            are its own.

    Raises:
        ValueError: It cannot be read, fits another network, or holds what no network can run on.
    """
    found = _content(file)
    known, needed = model.state_dict(), tensors_of(model)
    absent = next((name for name in needed if name in known and name not in found), None)
    strange = next((name for name in found if name not in known), None)
    if absent or strange:
        text = f"has no '{absent}'" if absent else f"has a '{strange}', which this one has not"
        raise ValueError(f"'{file}' is of another network: it {text}")
    tensors = {name: found.get(name, own) for name, own in needed.items()}
    for name, own in needed.items():
        if not isinstance(tensors[name], torch.Tensor) or tensors[name].shape != own.shape:
            shape = list(getattr(tensors[name], "shape", ()))
            raise ValueError(
                f"'{file}' is of another network: its '{name}' has shape {shape}, and this "
                f"one's {list(own.shape)}"
            )
        if name in found and not _can_teach(tensors[name], own):
            raise ValueError(
                f"'{file}' holds no teacher: its '{name}' needs to be a plain tensor of finite "
                f"numbers that stand for {own.dtype}".replace("torch.", "")
            )
    return {name: tensor.to(needed[name].dtype) for name, tensor in tensors.items()}


def run(
    model: nn.Module, part: nn.Module, tensors: Mapping[str, torch.Tensor], args: Any, kwargs: Any
) -> Any:
    """What a part of the network gives with other tensors: in eval mode, and without a graph.

    The network's own tensors and attributes, its modes and the random state stay as they are,
    and so do the teacher's tensors. Hooks of the user's on the part's modules see this pass too.

    Args:
        model: The network; ``tensors`` has its names.
        part: The network, or a module in it.
        tensors: The teacher's parameters and buffers.
        args: Of the part's ``forward``.
        kwargs: Of the same.

    Raises:
        TrainingError: The network has other tensors now than the teacher was kept with.
    """
    full = {id(tensor): name for name, tensor in tensors_of(model).items()}
    chosen = {}
    for name, own in tensors_of(part).items():
        kept = tensors.get(full[id(own)])
        if kept is None or kept.shape != own.shape:
            raise TrainingError(
                f"the teacher cannot run on this network any more: its '{full[id(own)]}' has "
                f"another shape than the {list(own.shape)} of now"
            )
        chosen[name] = kept if isinstance(own, nn.Parameter) else kept.clone()
    devices = {own.device for own in tensors_of(part).values() if own.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(devices), _evaluating(part):
        return torch.func.functional_call(part, chosen, args, kwargs)


@contextmanager
def _evaluating(part: nn.Module) -> Iterator[None]:
    """Eval mode by the flags alone: a module may do more in its ``train()``.

    What modules note in their attributes meanwhile, such as losses of their own, is forgotten.
    """
    kept = [(module, vars(module).copy()) for module in part.modules()]
    try:
        for module, _ in kept:
            module.training = False
        yield
    finally:
        for module, attributes in kept:
            vars(module).clear()
            vars(module).update(attributes)


def _content(file: Path) -> dict[str, Any]:
    """What is in a file, by name."""
    try:
        if file.suffix == ".safetensors":
            return weights_file.load(file)
        content = tensor_file.load(file)
    except OSError as error:
        raise ValueError(f"'{file}' cannot be read: {error.strerror or error}") from None
    except Exception as error:  # torch and safetensors name no common base for damaged files
        if type(error).__name__ in ("UnpicklingError", "EOFError"):  # torch says: load it anyway
            raise ValueError(
                f"'{file}' holds more than tensors and plain values, or is damaged, and is not "
                "loaded: save nothing but the teacher's state_dict() in it"
            ) from None
        reason = f"{error}".partition("\n")[0]
        raise ValueError(f"'{file}' holds no plain tensors: {reason}") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise ValueError(f"'{file}' holds no named tensors")
    return content


def _can_teach(tensor: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether it can take the place of a network's own tensor; buffers may hold infinities."""
    return (
        tensor.layout is torch.strided
        and not tensor.is_meta
        and torch.can_cast(tensor.dtype, own.dtype)
        and (own.is_floating_point() == tensor.is_floating_point())
        and not (isinstance(own, nn.Parameter) and not is_finite(tensor))
    )
