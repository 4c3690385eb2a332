"""Which channels depend on each other, by Torch-Pruning (Fang et al. 2023, arXiv:2301.12900)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneflow.errors import UserError
from pruneflow.structure.groups import ChannelGroup, Part
from pruneflow.structure.removing import tensors_of
from pruneflow.structure.resizing import CONVOLUTIONS, is_depthwise

PER_CHANNEL = ("weight", "bias", "running_mean", "running_var")

Place = tuple[str, int]
"""A tensor's name and one of its dimensions."""

Link = tuple[int, int]
"""An index there, and the output of the group's first layer that it depends on."""


def candidates(model: nn.Module, inputs: Sequence[torch.Tensor]) -> Iterator[ChannelGroup]:
    """Groups of channels that seem to be removable, in the order of the model's layers.

    Args:
        model: Traced: it is put in evaluation mode, and every parameter has to take gradients.
        inputs: Its positional arguments.

    Raises:
        UserError: Torch-Pruning is not installed, or cannot follow the model.
    """
    graph = _graph(model, inputs)
    names = {module: name for name, module in model.named_modules()}
    seen: set[nn.Module] = set()
    for module in names:
        rooted = isinstance(module, (nn.Linear, *CONVOLUTIONS)) and module in graph.module2node
        if rooted and module not in seen:
            group = _Collected(model, names)
            for layer, gives, links in _links(graph, module):
                if gives:
                    seen.add(layer)
                group.add(layer, gives, links)
            if found := group.finish():
                yield found


def _graph(model: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
    try:
        from torch_pruning import DependencyGraph
    except ImportError as error:
        raise UserError("channels need a package: pip install 'pruneflow[structured]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return DependencyGraph().build_dependency(model, tuple(inputs), verbose=False)
        except Exception as error:
            text = f"Torch-Pruning cannot follow this network: {type(error).__name__}: {error}"
            raise UserError(text) from error


def _links(graph: Any, root: nn.Module) -> Iterator[tuple[nn.Module, bool, list[Link]]]:
    """What depends on a layer's outputs.

    Yields:
        A layer; whether it is its outputs that depend; each index with the root's.
    """
    pruner = graph.get_pruner_of_module(root)
    every = list(range(pruner.get_out_channels(root)))
    for item in graph.get_pruning_group(root, pruner.prune_out_channels, every):
        gives = graph.is_out_channel_pruning_fn(item.dep.handler)
        links = list(zip(item.idxs, item.root_idxs, strict=True))
        yield item.dep.target.module, gives, links


class _Collected:
    """The parts of one group, as they are found.

    Several outputs of the root are one channel where they cannot go apart: those that a
    grouped convolution has at the same place in each of its groups.
    """

    def __init__(self, model: nn.Module, names: dict[nn.Module, str]) -> None:
        self.names = names
        self.tensors = tensors_of(model)
        self.parameters = {name for name, _ in model.named_parameters()}
        self.name = ""
        self.possible = True
        self.leader: dict[int, int] = {}
        self.roots: dict[Place, dict[int, int]] = {}

    def add(self, module: nn.Module, gives: bool, links: list[Link]) -> None:
        """Note the tensors of a module."""
        prefix = self.names.get(module)
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)):  # no weight that others make
            self.possible &= _join(prefix, "weight") in self.tensors
        if not self.name:
            self.name = _join(prefix, "weight")
            self.leader = {root: root for _, root in links}
        if isinstance(module, CONVOLUTIONS):
            self._add_convolution(prefix, module, gives, links)
        elif isinstance(module, _BatchNorm):
            self._note(prefix, PER_CHANNEL, 0, links)
        elif isinstance(module, nn.Linear):
            self._note(prefix, PER_CHANNEL if gives else ("weight",), 0 if gives else 1, links)
        elif prefix is not None or isinstance(module, nn.Parameter):
            self.possible &= isinstance(module, nn.PReLU) and module.num_parameters == 1

    def finish(self) -> ChannelGroup | None:
        """The group, if there is one."""
        heads = sorted({self._head(root) for root in self.leader})
        if not self.possible or len(heads) < 2:
            return None
        number = {head: at for at, head in enumerate(heads)}
        parts = [
            self._part(tensor, dim, number)
            for tensor in self.tensors
            for dim in (0, 1)
            if (tensor, dim) in self.roots
        ]
        return ChannelGroup(
            self.name,
            len(heads),
            tuple(part for part in parts if part.dim == 0 and part.tensor in self.parameters),
            tuple(part for part in parts if part.dim == 1),
            tuple(part for part in parts if part.tensor not in self.parameters),
        )

    def _add_convolution(
        self, prefix: str | None, module: nn.Module, gives: bool, links: list[Link]
    ) -> None:
        assert isinstance(module, CONVOLUTIONS)
        if is_depthwise(module):
            self._note(prefix, PER_CHANNEL, 0, links)
            return
        # For Torch-Pruning these too are depthwise.
        self.possible &= not 1 < module.groups == module.out_channels
        side = module.out_channels if gives else module.in_channels
        apart = side // module.groups
        first: dict[int, int] = {}
        for index, root in links:
            self._unite(root, first.setdefault(index % apart, root))
        if gives:
            self._note(prefix, PER_CHANNEL, 0, links)
        else:
            self._note(prefix, ("weight",), 1, [(index % apart, root) for index, root in links])

    def _note(self, prefix: str | None, keys: tuple[str, ...], dim: int, links: list[Link]) -> None:
        for key in keys:
            name = _join(prefix, key)
            if name in self.tensors:
                roots = self.roots.setdefault((name, dim), {})
                for index, root in links:
                    self._unite(root, roots.setdefault(index, root))
                self.possible &= self._is_alone(name)

    def _is_alone(self, name: str) -> bool:
        """Whether a tensor has one name only: another layer's would have to shrink as well."""
        return sum(other is self.tensors[name] for other in self.tensors.values()) == 1

    def _part(self, tensor: str, dim: int, number: dict[int, int]) -> Part:
        indices: list[list[int]] = [[] for _ in number]
        for index, root in sorted(self.roots[tensor, dim].items()):
            indices[number[self._head(root)]].append(index)
        size = self.tensors[tensor].shape[dim]
        return Part(tensor, dim, size, tuple(map(tuple, indices)))

    def _unite(self, one: int, other: int) -> None:
        head, tail = sorted((self._head(one), self._head(other)))
        self.leader[tail] = head

    def _head(self, root: int) -> int:
        while self.leader[root] != root:
            root = self.leader[root]
        return root


def _join(prefix: str | None, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key
