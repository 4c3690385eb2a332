"""One launch of a Triton kernel, before it happens.

It is what runs, and what is compiled ahead of time: both see the same arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

Argument = torch.Tensor | int | float | None


@dataclass(frozen=True)
class Launch:
    """A kernel and what it is given.

    Attributes:
        function: Made by ``language.jit``.
        grid: Programs along up to three axes.
        arguments: By name, as the function declares them; None is known when compiling.
        constants: Its ``constexpr`` parameters.
        warps: Of 32 threads, for each program.
        stages: Of the software pipeline.
        is_cooperative: Whether all programs have to run at once.
    """

    function: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Argument]
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 2
    is_cooperative: bool = False

    def run(self) -> None:
        """Launch it on the current stream, or in the interpreter."""
        options = {"launch_cooperative_grid": True} if self.is_cooperative else {}
        self.function[self.grid](
            **self.arguments,
            **self.constants,
            num_warps=self.warps,
            num_stages=self.stages,
            **options,
        )
