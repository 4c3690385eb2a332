"""A layer by itself as a cell: the engines that may compute it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import chain

import torch
from torch.nn import functional as F

from benchmarks.gpu import baselines
from benchmarks.gpu.cases import BLOCKS, HUGE, SEMI, SQUARE, Case
from benchmarks.gpu.engine import Engine, Made, Right, words
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.problem import Problem, kernels_for, right
from pruneflow.deploy.kernels import KERNELS, Activation, Window
from pruneflow.deploy.kernels.base import Config

SEARCHED = ((HUGE, 1), (HUGE, 16), (SQUARE, 1), (SQUARE, 256))
"""Shapes and batches for which Inductor searches for the best dense kernel: that takes long."""


class LayerCell:
    """A case: its engines, and what they have to compute."""

    def __init__(self, case: Case, machine: Machine) -> None:
        self.case, self.machine = case, machine
        self.problem = Problem(case, machine.device)

    @property
    def right(self) -> Right:
        """The right outputs."""
        return self.problem.right

    def engines(self) -> list[Engine]:
        """All that may compute it."""
        case, problem = self.case, self.problem
        found = [Engine("cublas", "dense", lambda: self._dense("F.linear", F.linear))]
        if (case.name, case.batch) in SEARCHED and case.dtype == "bf16":
            found.append(Engine("torch.compile max-autotune", "dense", self._searched))
        found += [Engine(name, "ours", self._ours(name)) for name in kernels_for(case.mask)]
        found.append(Engine("cusparse csr", "sparse", lambda: baselines.csr(problem)))
        if case.mask == BLOCKS:
            found.append(Engine("torch bsr", "sparse", lambda: baselines.bsr(problem)))
        if case.mask == SEMI:
            found.append(Engine("torch 2:4", "sparse", lambda: baselines.semi(problem)))
        smaller = Engine(
            "smaller dense", "smaller", self._smaller, right=lambda: right(*problem.smaller)
        )
        return [*found, smaller]

    def _dense(self, name: str, linear: Callable[..., torch.Tensor]) -> Made:
        x, weight = self.problem.x, self.problem.weight.dense
        run = {name: lambda: linear(x, weight)}
        return Made(run, self.problem.moved(weight.nbytes), weight.numel())

    def _searched(self) -> Made:
        mode = "max-autotune-no-cudagraphs"  # captured like the others
        return self._dense(mode, _compiled(self.machine, mode))

    def _ours(self, name: str) -> Callable[[], Made]:
        def make() -> Made:
            kernel, x = KERNELS[name], self.problem.x
            packed = self.problem.weight.packed(name)

            plain = (None, Activation(), Window())

            def call(config: Config) -> Callable[[], torch.Tensor]:
                return lambda: kernel.run(x, packed, *plain, config)

            configs = kernel.configs(packed, self.case.batch)
            y = kernel.output(x, packed, Window())
            launches = [kernel.launches(x, packed, *plain, config, y) for config in configs]
            stored = sum(part.numel() for part in packed.parts if part.is_floating_point())
            return Made(
                {words(config): call(config) for config in configs},
                self.problem.moved(packed.bytes),
                stored,
                {"bytes": packed.bytes},
                list(chain(*launches)),
            )

        return make

    def _smaller(self) -> Made:
        x, weight = self.problem.smaller
        run = {f"{len(weight)}x{weight.shape[1]}": lambda: F.linear(x, weight)}
        return Made(run)


@cache
def _compiled(machine: Machine, mode: str) -> Callable[..., torch.Tensor]:
    """One function for all shapes: each is searched for once."""
    return machine.compile(lambda x, weight: F.linear(x, weight), mode)
