"""A whole network as a cell: what its outputs are, and the engines that may run it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import chain
from typing import Any

import torch

from benchmarks.gpu.by_layer import by_layer
from benchmarks.gpu.cases import DTYPES, Case
from benchmarks.gpu.engine import Engine, Made, NotHereError, Right, words
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.networks import dense_of, sparse
from pruneflow.deploy.kernels.base import Config
from pruneflow.deploy.kernels.fused import FusedNetwork, why_not
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.deploy.measure.rounding import bounded
from pruneflow.deploy.place import Place

MOST_SEARCHED = 64
"""The largest batch for which Inductor searches for the best kernels."""


class NetworkCell:
    """A case: its engines, and what they have to compute."""

    def __init__(self, case: Case, machine: Machine) -> None:
        self.case, self.machine = case, machine
        dtype = DTYPES[case.dtype]
        self.dense = dense_of(case.name, machine)
        self.traced = sparse(self.dense.traced, case.sparsity, dtype)
        self.graph = self.traced.graph
        self.module = self.dense.load(self.traced, dtype)
        self.tensors = {
            name: tensor.to(machine.device, dtype) for name, tensor in self.traced.tensors.items()
        }
        side = self.dense.side
        generator = torch.Generator().manual_seed(1)
        self.images = torch.randn(case.batch, 1, side, side, generator=generator).to(dtype)
        self.x = self.images.to(machine.device)

    @cached_property
    def right(self) -> Right:
        """The outputs in float64, and how far off engines may be that round every result."""
        place = Place("cuda", self.case.dtype)
        found = bounded(self.graph, self.traced.tensors, self.images.float(), place)
        device = self.machine.device
        return Right(found.value.to(device), found.bound.to(device))

    def engines(self) -> list[Engine]:
        """All that may run it."""
        found = [
            Engine("torch", "dense", lambda: self._dense(self.module)),
            Engine("torch.compile", "dense", self._compiled(None), captures=False),
            Engine("fused", "ours", self._fused),
            Engine("kernels by layer", "ours", self._by_layer),
        ]
        if self.case.batch <= MOST_SEARCHED:
            search = self._compiled("max-autotune")
            found.append(Engine("torch.compile max-autotune", "dense", search, captures=False))
        return found

    def _dense(self, run: Callable[[torch.Tensor], Any]) -> Made:
        return Made({"dense": lambda: run(self.x)})

    def _compiled(self, mode: str | None) -> Callable[[], Made]:
        return lambda: self._dense(self.dense.compiled(mode))

    def _by_layer(self) -> Made:
        return by_layer(self.graph, self.tensors, self.x, self.machine)

    def _fused(self) -> Made:
        if why := why_not(self.graph, self.tensors):
            raise NotHereError(why)
        network, x = FusedNetwork(self.graph, self.tensors), self.x

        def call(config: Config) -> torch.Tensor:
            network.config = config
            y: torch.Tensor = network(x)
            return y

        def launches(config: Config) -> list[Launch]:
            network.config = config
            return list(network.launches(x, y))

        y = torch.empty_like(self.module(x))
        configs = network.configs(len(x))
        variants = {words(config): lambda config=config: call(config) for config in configs}
        if self.machine.device == "cpu":
            return Made(variants)  # its launches wait for each other
        return Made(variants, launches=list(chain(*map(launches, configs))))
