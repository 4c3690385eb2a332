"""An engine: a way to compute a cell's outputs, of which several variants may be tried."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import torch

from benchmarks.gpu.machine import Machine, Run
from benchmarks.gpu.timing import Runs, quick
from pruneflow.deploy.kernels.launch import Launch

Kind = Literal["dense", "ours", "sparse", "smaller", "floor"]
"""Dense torch; our kernels; what torch has for sparse weights; other functions to compare with."""

PATIENCE = 90
"""Seconds until an engine has to be ready."""


class NotHereError(Exception):
    """An engine cannot compute a cell, and says why."""


@dataclass(frozen=True)
class Made:
    """What an engine computes with.

    Attributes:
        variants: Equivalent calls by what they are called, the best guess first.
        moved: Bytes that it has to read and write; None where they are not the point.
        stored: Weights it multiplies by.
        notes: Whatever else is worth knowing.
        launches: Of all variants, where Triton compiles them.
    """

    variants: Mapping[str, Run]
    moved: int | None = None
    stored: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)
    launches: Sequence[Launch] = ()


@dataclass(frozen=True)
class Engine:
    """A way to compute a cell.

    Attributes:
        name: Of its row.
        kind: What sort of engine it is.
        make: Lays weights out; raises whatever it likes.
        captures: Whether its calls can be captured in a CUDA graph.
        right: Outputs and their bounds where it computes another function than its cell.
    """

    name: str
    kind: Kind
    make: Callable[[], Made]
    captures: bool = True
    right: Callable[[], Right] | None = None


@dataclass(frozen=True)
class Right:
    """Outputs in float64, and how far off an engine may be.

    Attributes:
        outputs: (n, out).
        bound: The same shape.
    """

    outputs: torch.Tensor
    bound: torch.Tensor

    def fault(self, found: torch.Tensor) -> str | None:
        """What is wrong with outputs; None if nothing is."""
        if found.shape != self.outputs.shape:
            return f"its outputs are {tuple(found.shape)}, not {tuple(self.outputs.shape)}"
        error = (found.to(self.outputs.device).double() - self.outputs).abs()
        if bool((error <= self.bound).all()):
            return None
        worst = float((error / self.bound).nan_to_num(torch.inf).max())
        return f"it is wrong: {worst:.3g} times as far off as rounding explains"


@dataclass(frozen=True)
class Ready:
    """An engine that passed, with the variant that was fastest.

    Attributes:
        runs: To be timed.
        made: What it computes with.
        facts: About its row.
    """

    runs: Runs
    made: Made
    facts: Mapping[str, Any]


def ready(engine: Engine, machine: Machine, right: Callable[[], Right], seconds: float) -> Ready:
    """Make an engine, try its variants, and judge the fastest.

    Args:
        engine: What to make.
        machine: Where it runs.
        right: What its outputs have to be.
        seconds: Until no further variant is tried.

    Raises:
        NotHereError: None of its variants runs, or the fastest is wrong.
        Exception: Whatever went wrong while it was made.
    """
    begun = time.monotonic()
    with patience(PATIENCE):
        made = engine.make()
        laid_out = time.monotonic()
        machine.compile_launches(made.launches)
        compiled = time.monotonic()
        variant, tried, failed = _fastest(
            made.variants, machine, compiled + seconds, engine.captures
        )
        run = made.variants[variant]
        outputs = run()
        machine.synchronize()
        fault = (engine.right or right)().fault(outputs) if engine.kind != "floor" else None
        if fault:
            raise NotHereError(f"{variant}: {fault}")
        graph, uncaptured = _captured(machine, run) if engine.captures else (None, None)
    facts = {
        "variant": variant,
        "tried": tried,
        "variants": len(made.variants),
        "seconds": {
            "to_lay_out": round(laid_out - begun, 2),
            "to_compile": round(compiled - laid_out, 2),
            "to_tune": round(time.monotonic() - compiled, 2),
        },
        **({"failed_variants": failed} if failed else {}),
        **({"not_captured": uncaptured} if uncaptured else {}),
        **made.notes,
    }
    return Ready(Runs(run, graph), made, facts)


def _captured(machine: Machine, run: Run) -> tuple[Run | None, str | None]:
    """A call as a CUDA graph, or why there is none."""
    try:
        return machine.capture(run), None
    except RuntimeError as error:
        return None, reason(error)


def _fastest(
    variants: Mapping[str, Run], machine: Machine, end: float, captures: bool
) -> tuple[str, int, dict[str, str]]:
    """The fastest variant, how many were tried, and why some failed.

    They are compared as CUDA graphs where that can be: launching them may take longer than they.
    """
    took: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, run in list(variants.items())[: machine.most_variants]:
        if took and time.monotonic() > end:
            break
        try:
            run()
            machine.synchronize()
            if len(variants) > 1:
                graph = _captured(machine, run)[0] if captures else None
                took[name] = quick(machine, graph or run)
            else:
                took[name] = 0.0
        except TimeoutError:
            raise
        except Exception as error:  # one tile may need more memory than there is
            failed[name] = reason(error)
    if not took:
        raise NotHereError(next(iter(failed.values()), "it has no variants"))
    return min(took, key=took.__getitem__), len(took) + len(failed), failed


def words(config: Mapping[str, int]) -> str:
    """A configuration in one line."""
    return ", ".join(f"{key} {value}" for key, value in config.items())


def reason(error: BaseException) -> str:
    """An exception in one line."""
    words = " ".join(str(error).split()) or "no message"
    shown = words if len(words) <= 300 else words[:297] + "..."
    return shown if isinstance(error, NotHereError) else f"{type(error).__name__}: {shown}"


def fastest_of(variants: Mapping[str, Run], machine: Machine, seconds: float) -> str:
    """What the fastest of some calls is called.

    Raises:
        NotHereError: None of them runs.
    """
    return _fastest(variants, machine, time.monotonic() + seconds, True)[0]


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Context: Python code that takes longer is interrupted.

    Raises:
        TimeoutError: It took longer.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not ready after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
