"""A plan run by torch, piece by piece, in float32: what the kernel computes, said plainly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import torch
from torch.nn import functional as F

from pruneflow.deploy.kernels.base import ACTIVATIONS, Activation
from pruneflow.deploy.kernels.fused.places import NOTHING, OUTSIDE
from pruneflow.deploy.kernels.fused.plan import Numbers, Plan


def run(plan: Plan, parts: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Outputs (n, ...) of inputs (n, ...), rounded to their dtype once."""
    memory = _Memory(plan, x)
    for kind, _, numbers, ends in plan.pieces:
        if kind == "border":
            memory.clear_border(*numbers)
        elif kind == "gather":
            rows, y = _gather(memory, parts, *numbers)
            memory.write(y, rows, ends)
        else:
            y = PASSES[kind](memory, *numbers)
            memory.write(y, torch.arange(y.shape[1], device=x.device), ends)
    return memory.output.to(x.dtype).reshape(len(x), *plan.output)


class _Memory:
    """Every sample's input, arena and output, flat."""

    def __init__(self, plan: Plan, x: torch.Tensor) -> None:
        self.input = x.flatten(1).float()
        self.arena = self.input.new_full((len(x), plan.arena), torch.nan)
        self.output = self.input.new_full((len(x), prod(plan.output)), torch.nan)

    def read(self, start: int, places: torch.Tensor) -> torch.Tensor:
        """(n, *places): numbers so far behind a start."""
        return self.input[:, places] if start == OUTSIDE else self.arena[:, start + places]

    def maps(self, operand: Numbers, channels: int) -> torch.Tensor:
        """(n, channels, height, width): an operand's numbers."""
        start, side, width, _, _ = operand
        count = torch.arange(channels * side, device=self.input.device)
        return self.read(start, placed(count, operand)).view(-1, channels, side // width, width)

    def write(self, y: torch.Tensor, indices: torch.Tensor, ends: Numbers) -> None:
        """Store results (n, count) by their numbers, after what is left to be done to them."""
        y = activation(*ends[:2])(y)
        other, target = ends[2:7], ends[9:]
        if other != NOTHING:
            y = y + self.read(other[0], placed(indices, other))
        y = activation(*ends[7:9])(y)
        if target[0] == OUTSIDE:
            self.output[:, indices] = y
        else:
            self.arena[:, target[0] + placed(indices, target)] = y

    def clear_border(
        self, start: int, channels: int, height: int, width: int, above: int, beside: int
    ) -> None:
        """Zeros around maps."""
        sides = (channels, height + 2 * above, width + 2 * beside)
        maps = self.arena[:, start : start + prod(sides)].unflatten(1, sides)
        inside = F.pad(maps.new_zeros(height, width), (beside, beside, above, above), value=1.0)
        maps.masked_fill_(inside.bool(), 0.0)


def activation(kind: int, slope: float) -> Activation:
    """By its number."""
    return Activation(ACTIVATIONS[kind], slope)


def placed(index: torch.Tensor, operand: Numbers) -> torch.Tensor:
    """Where an operand's numbers lie."""
    _, side, width, plane, pitch = operand
    place: torch.Tensor = index // side * plane + index % side // width * pitch + index % width
    return place


def _gather(
    memory: _Memory, parts: Sequence[torch.Tensor],
    start: int, down: int, right: int, wide: int, positions: int, halved: int,
    kind: int, slope: float, first: int, width: int, row: int, rows: int,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    places, values, numbers, biases = parts
    position = torch.arange(positions, device=places.device)
    corner = (position // wide * down + position % wide * right) << halved
    window = slice(first, first + rows * width)
    own = places[window].long().view(rows, width)
    own = own & 0xFFFF if places.dtype is torch.int16 else own
    weight = values[window].float().view(rows, width)
    sums = []
    for gap in (0, right, down, down + right) if halved else (0,):
        total = biases[row : row + rows, None].expand(rows, positions)
        total = total.expand(len(memory.input), rows, positions)
        for place, value in zip(own.T, weight.T, strict=True):
            total = total + value[:, None] * memory.read(start, place[:, None] + (corner + gap))
        sums.append(activation(kind, slope)(total))
    indices = numbers[row : row + rows, None] * positions + position
    return indices.flatten().long(), torch.stack(sums).amax(0).flatten(1)


def _pool(
    memory: _Memory, start: int, channels: int, height: int, width: int, plane: int, pitch: int,
    high: int, wide: int, average: int, counts_padding: int, *window: int,
) -> torch.Tensor:  # fmt: skip
    kernel, stride, padding, dilation = (list(window[i : i + 2]) for i in (0, 2, 4, 6))
    x = memory.maps((start, height * width, width, plane, pitch), channels)
    is_open = [
        (out - 1) * step + gap * (k - 1) + 1 > side + 2 * pad
        for out, step, gap, k, side, pad in zip(
            (high, wide), stride, dilation, kernel, (height, width), padding, strict=True
        )
    ]
    if average:
        y = F.avg_pool2d(x, kernel, stride, padding, any(is_open), bool(counts_padding))
    else:
        y = F.max_pool2d(x, kernel, stride, padding, dilation, any(is_open))
    return y.flatten(1)


def _mean(
    memory: _Memory, start: int, side: int, width: int, plane: int, pitch: int, channels: int
) -> torch.Tensor:
    return memory.maps((start, side, width, plane, pitch), channels).mean((2, 3))


def _copy(
    memory: _Memory, start: int, side: int, width: int, plane: int, pitch: int, count: int
) -> torch.Tensor:
    return memory.maps((start, side, width, plane, pitch), count // side).flatten(1)


PASSES: Mapping[str, Callable[..., torch.Tensor]] = {"pool": _pool, "mean": _mean, "copy": _copy}
