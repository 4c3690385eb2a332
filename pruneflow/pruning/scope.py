"""Which weights of a network a recipe means.

A pattern matches a layer's name or a dotted tail of it (``fc1`` means ``model.fc1`` too) and may
use the wildcards ``* ? [abc]``. ``input`` and ``output`` are roles: the first and the last
prunable layer, in the order the module defines them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING

from pruneflow.errors import did_you_mean
from pruneflow.pruning.parametrized import computed_weight, told, types_of

if TYPE_CHECKING:
    from torch import nn

PRUNABLE_TYPES = ("Linear", "Conv1d", "Conv2d", "Conv3d")
ROLES = ("input", "output")
BATCH_NORMS = ("_BatchNorm",)
"""The base of PyTorch's batch norms, synchronized ones and those of other packages."""


@dataclass(frozen=True)
class Layer:
    """One prunable tensor.

    Attributes:
        name: The parameter's name, e.g. ``fc1.weight``.
        types: Class names of the modules that hold it, the most derived first.
        shape: The tensor's shape.
        role: ``input``, ``output`` or the empty string.
        aliases: Its other names, where modules share it.
        trainable: Whether it takes gradients; one that does not is only meant by name.
        grid: Where weights go in units, and units are counted: their rows and columns.
        computed: The weight that is computed from it, where it is none itself.
    """

    name: str
    types: tuple[str, ...]
    shape: tuple[int, ...]
    role: str = ""
    aliases: tuple[str, ...] = ()
    trainable: bool = True
    grid: tuple[int, ...] = ()
    computed: Layer | None = None

    @property
    def size(self) -> int:
        """Number of weights, or of units of them."""
        return prod(self.grid or self.shape)

    @property
    def rows(self) -> int:
        """Number of output units, or of rows of the grid."""
        return (self.grid or self.shape)[0]

    @property
    def unit(self) -> int:
        """Number of weights that are counted as one."""
        return prod(self.shape) // self.size

    @property
    def is_scale(self) -> bool:
        """Whether it is the scale of a batch norm."""
        is_norms = not set(BATCH_NORMS).isdisjoint(self.types)
        return is_norms and self.name.rpartition(".")[2] == "weight"

    def matches(self, pattern: str) -> bool:
        """Whether ``pattern`` means this layer; what a weight is computed from needs its key."""
        if pattern in ROLES and self.role == pattern:
            return True
        names: tuple[str, ...] = (self.name, *self.aliases)
        modules = tuple(name.rpartition(".")[0] for name in names)
        if self.computed is not None:
            key = pattern.rpartition(".")[2]
            names, modules = tuple(n for n in names if n.rpartition(".")[2] == key), ()
        return any(
            fnmatchcase(name, form)
            for name in (*names, *modules)
            for form in (pattern, f"*.{pattern}")
        )


@dataclass(frozen=True)
class Targets:
    """A choice of layers: of these types, with these names, without the ignored ones.

    With neither ``types`` nor ``names`` it means every Linear and convolution weight. What takes
    no gradient is meant by name only, and so is what a weight is computed from.
    """

    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def without(self, ignore: Sequence[str]) -> Targets:
        """The same choice with more layers ignored."""
        return Targets(self.types, self.names, (*self.ignore, *ignore))

    def choose(self, layers: Sequence[Layer]) -> list[Layer]:
        """The layers meant, in the network's order.

        Raises:
            ValueError: A name or an ignored name matches nothing, a type is one of the network's
                but for the case of its letters, or nothing is left.
        """
        for pattern in (*self.names, *self.ignore):
            _require_match(pattern, layers)
        _require_cased(self.types, layers)
        chosen = [layer for layer in layers if self._mean(layer)]
        if not chosen:
            present = ", ".join(f"{layer.name} ({layer.types[0]})" for layer in layers)
            why = f"; {told(left)}" if (left := self.left_out(layers)) else ""
            raise ValueError(f"targets match nothing in this network, which has: {present}{why}")
        return chosen

    def left_out(self, layers: Sequence[Layer]) -> list[str]:
        """Names of weights that would be meant, but are computed from some of the layers."""
        computed = [
            layer.computed.name
            for layer in layers
            if layer.computed and self._mean(layer.computed) and not self._mean(layer)
        ]
        return list(dict.fromkeys(computed))

    def _mean(self, layer: Layer) -> bool:
        types = self.types or (() if self.names else PRUNABLE_TYPES)
        return (
            (not types or not set(types).isdisjoint(layer.types))
            and (
                any(map(layer.matches, self.names))
                if self.names
                else layer.trainable and layer.computed is None
            )
            and not any(map(layer.matches, self.ignore))
        )


def per_pattern(values: Mapping[str, float], layers: Sequence[Layer]) -> dict[str, float]:
    """A value for each layer from ``{pattern: value, default: value}``, first match first.

    Raises:
        ValueError: A pattern matches nothing, or a layer has no value and there is no default.
    """
    patterns = [pattern for pattern in values if pattern != "default"]
    for pattern in patterns:
        _require_match(pattern, layers)
    result = {}
    for layer in layers:
        pattern = next((p for p in patterns if layer.matches(p)), "default")
        if pattern not in values:
            raise ValueError(f"no value for layer '{layer.name}'; name it, or add 'default'")
        result[layer.name] = values[pattern]
    return result


def find_layers(model: nn.Module) -> list[Layer]:
    """Every tensor of two or more dimensions, in the module's order.

    Roles go to the first and last trainable ones of the prunable types. A tensor that modules
    share counts once, under its first name, and answers to all of them.

    Raises:
        ValueError: A lazy layer has no shape yet.
    """
    return _with_roles([found for found in _find(model) if len(found.shape) >= 2])


def find_vectors(model: nn.Module) -> list[Layer]:
    """Every tensor of fewer dimensions, biases and the scales of norms, in the module's order.

    It has the role of the layer that is in the same module, so that ``output`` means both.

    Raises:
        ValueError: A lazy layer has no shape yet.
    """
    roles = {layer.name.rpartition(".")[0]: layer.role for layer in find_layers(model)}
    return [
        replace(found, role=roles.get(found.name.rpartition(".")[0], ""))
        for found in _find(model)
        if len(found.shape) < 2
    ]


def _find(model: nn.Module) -> list[Layer]:
    """Every parameter, without its role."""
    found: dict[int, Layer] = {}
    modules = dict(model.named_modules())
    for prefix, module in modules.items():
        types = types_of(module)
        for key, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{key}" if prefix else key
            if any(cls.__name__ == "UninitializedTensorMixin" for cls in type(parameter).__mro__):
                raise ValueError(
                    f"'{name}' has no shape yet: pass one batch through the module before"
                )
            known = found.get(id(parameter))
            if known is None:
                of = computed_weight(prefix, key, modules)
                trains, shape = parameter.requires_grad, tuple(parameter.shape)
                computed = None if of is None else Layer(*of, (), trainable=trains)
                found[id(parameter)] = Layer(
                    name, types, shape, trainable=trains, computed=computed
                )
            else:
                found[id(parameter)] = replace(
                    known, types=(*known.types, *types), aliases=(*known.aliases, name)
                )
    return list(found.values())


def _with_roles(layers: list[Layer]) -> list[Layer]:
    prunable = [
        index
        for index, layer in enumerate(layers)
        if layer.trainable
        and layer.computed is None
        and not set(PRUNABLE_TYPES).isdisjoint(layer.types)
    ]
    roles = {} if not prunable else {prunable[0]: "input", prunable[-1]: "output"}
    return [replace(layer, role=roles.get(index, "")) for index, layer in enumerate(layers)]


def _require_match(pattern: str, layers: Iterable[Layer]) -> None:
    layers = list(layers)
    meant = [each for layer in layers for each in (layer, layer.computed) if each is not None]
    if not any(each.matches(pattern) for each in meant):
        names = [layer.name.rpartition(".")[0] or layer.name for layer in layers]
        hint = did_you_mean(pattern, [*names, *ROLES], always=True)
        raise ValueError(f"'{pattern}' matches no layer.{hint}")


def _require_cased(types: Iterable[str], layers: Iterable[Layer]) -> None:
    """Types need not occur, but ``Conv2D`` is a slip."""
    known = {*PRUNABLE_TYPES, *(name for layer in layers for name in layer.types)}
    cased = {name.lower(): name for name in known}
    for name in types:
        if name not in known and (meant := cased.get(name.lower())):
            raise ValueError(f"no layer is of type '{name}'. Did you mean '{meant}'?")
