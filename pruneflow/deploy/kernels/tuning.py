"""Which tiles a kernel runs with: its best guess, or what was found to be fastest.

Nothing is tried out but inside of ``trying``; what is found is kept in this process, and can be
kept with a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from statistics import median

import torch

from pruneflow.deploy.kernels.base import KERNELS, Activation, Config, Packed, Window
from pruneflow.deploy.place import name_of

ROUNDS = 5
"""Timed calls of each config; all are called in turns."""

_tried: ContextVar[dict[str, Config] | None] = ContextVar("_tried", default=None)
_found: dict[str, Config] = {}


def run(
    x: torch.Tensor,
    packed: Packed,
    bias: torch.Tensor | None,
    activation: Activation,
    window: Window,
) -> torch.Tensor:
    """Outputs of inputs on a GPU; see ``Kernel.launches``."""
    kernel = KERNELS[packed.kernel]
    batch = rows(x, packed, window)

    def call(config: Config) -> torch.Tensor:
        return kernel.run(x, packed, bias, activation, window, config)

    return call(choose(key_of(x, packed, batch), kernel.configs(packed, batch), call))


def choose(key: str, configs: Sequence[Config], call: Callable[[Config], object]) -> Config:
    """What was found to be fastest, or else the best guess.

    Args:
        key: What has to be the same for the same config to be best.
        configs: What there is, the best guess first.
        call: Launches the work with a config, on the current stream.
    """
    config = _found.get(key, configs[0])
    if config not in configs:  # another version's
        config = configs[0]
    tried = _tried.get()
    if tried is not None and key not in _found and len(configs) > 1 and not _is_recording():
        times: dict[int, list[float]] = {i: [] for i in range(len(configs))}
        for _ in range(1 + ROUNDS):
            for i, each in enumerate(configs):
                times[i].append(_time(call, each))
        best = min(times, key=lambda i: median(times[i][1:]))  # the first call compiled
        config = _found[key] = configs[best]
    if tried is not None and key in _found:
        tried[key] = config
    return config


def rows(x: torch.Tensor, packed: Packed, window: Window) -> int:
    """What ``Kernel.configs`` takes for a batch."""
    if KERNELS[packed.kernel].op == "linear":
        return len(x)
    return len(x) * prod(window.output(x.shape[2:], packed.shape[2:]))


def key_of(x: torch.Tensor, packed: Packed, batch: int) -> str:
    """What has to be the same for the same tiles to be best."""
    shapes = " ".join("x".join(map(str, part.shape)) for part in (*packed.parts, x))
    numbers = ",".join(map(str, (*packed.shape, *packed.numbers)))
    return f"{packed.kernel} {numbers} {shapes} {name_of(x.dtype)} {batch}"


def _is_recording() -> bool:
    """Whether launches are being captured in a CUDA graph: none can be timed then."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


@contextmanager
def trying() -> Iterator[dict[str, Config]]:
    """Context: where nothing is known yet, configs are timed before the first call.

    Yields:
        What was found to be fastest for what was called within; it grows.
    """
    tried: dict[str, Config] = {}
    token = _tried.set(tried)
    try:
        yield tried
    finally:
        _tried.reset(token)


def use(known: Mapping[str, Config]) -> None:
    """Use what was found before, as far as nothing was found here."""
    for key, config in known.items():
        _found.setdefault(key, dict(config))


def _time(call: Callable[[Config], object], config: Config) -> float:
    """Milliseconds of one call; endless where the GPU has no room for such tiles."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    try:
        begin.record()
        call(config)
        end.record()
    except Exception:  # of many kinds in Triton: out of registers, out of shared memory
        return float("inf")
    end.synchronize()
    return float(begin.elapsed_time(end))
