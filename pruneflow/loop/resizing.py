"""Modules that take the sizes of what is loaded into them, and their optimizers with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from pruneflow.structure import resize


def resize_when_loading(
    module: nn.Module,
    optimizers: Sequence[Optimizer] = (),
    before: Callable[[], object] | None = None,
) -> RemovableHandle:
    """Resize a module whenever a ``state_dict`` of another size is about to be loaded.

    Args:
        module: Channels may have been removed from it, or from what was saved.
        optimizers: Have the new parameters in the places of the old, and no memory of these.
        before: Called before anything changes.
    """

    def fit(module: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
        own = {n.removeprefix(prefix): t for n, t in state_dict.items() if n.startswith(prefix)}
        old = dict(module.named_parameters())
        if all(w.shape == getattr(own.get(name, w), "shape", None) for name, w in old.items()):
            return
        if before is not None:
            before()
        try:
            resize(module, {n: t for n, t in own.items() if isinstance(t, torch.Tensor)})
        except ValueError:
            return  # another network's: the loading will tell
        new = dict(module.named_parameters())
        for optimizer in optimizers:
            _replace(optimizer, {old[name]: new[name] for name in old})

    hook: RemovableHandle = module.register_load_state_dict_pre_hook(fit)  # type: ignore[no-untyped-call]
    return hook


def _replace(optimizer: Optimizer, new: Mapping[torch.Tensor, torch.Tensor]) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if new.get(weight, weight) is not weight:
                optimizer.state.pop(weight, None)
        group["params"][:] = [new.get(weight, weight) for weight in group["params"]]
