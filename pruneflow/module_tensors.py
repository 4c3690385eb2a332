"""The tensors of a module's state, apart from what else it holds (``get_extra_state``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

_EXTRA = "_extra_state"


def tensors_in(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What of a ``state_dict`` is tensors, by name."""
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def load_tensors(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load tensors into a module, all that it has; whatever else its state holds stays.

    Raises:
        RuntimeError: They are another module's.
    """
    own = {
        name: value
        for name, value in module.state_dict().items()
        if not isinstance(value, torch.Tensor) or name.rpartition(".")[2] == _EXTRA
    }
    for prefix, part in module.named_modules(remove_duplicate=False):
        if type(part).set_extra_state is nn.Module.set_extra_state:
            own.pop(f"{prefix}.{_EXTRA}".removeprefix("."), None)  # it tells, and cannot be told
    module.load_state_dict({**own, **tensors})
