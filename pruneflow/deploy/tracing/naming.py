"""Names of nodes and tensors: those of the modules a person wrote."""

from __future__ import annotations

import re
from collections.abc import Container

from torch import fx, nn

_CALL_INDEX = re.compile(r"@\d+")  # torch.export numbers the calls of a module it meets again
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST = 150


def fresh(wanted: str, taken: Container[str]) -> str:
    """The wanted name, or with ``_1``, ``_2``, ... behind it the first that is free."""
    name, count = wanted, 0
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name


def first_names_of(module: nn.Module) -> dict[str, str]:
    """For every name in ``state_dict`` the first one of the same, perhaps shared, tensor."""
    named = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in named}


def module_path(call: fx.Node) -> str:
    """The module in whose forward a call stands, e.g. ``layer1.0``; empty: the network itself."""
    stack = list(call.meta.get("nn_module_stack", {}).values())
    return _CALL_INDEX.sub("", str(stack[-1][0])) if stack else ""


def node_name(path: str, module: nn.Module, op: str, weight: str) -> str:
    """What a node is called: after the layer it is, or else by what it does.

    Args:
        path: The module it comes from.
        module: The network.
        op: Its operation.
        weight: The name of its weight, or an empty string.
    """
    layer = weight.rpartition(".")[0]
    name = path if path and _is_layer(module, path) else layer or f"{path}.{op}".lstrip(".")
    return _STRANGE.sub("_", name)[:_LONGEST]


def _is_layer(module: nn.Module, path: str) -> bool:
    """Whether the module at a path has no modules inside, but for parametrizations."""
    try:
        inside = dict(module.get_submodule(path).named_children())
    except AttributeError:
        return False
    return inside.keys() <= {"parametrizations"}
