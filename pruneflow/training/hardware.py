"""What a run's trainer would run on here, and whether it can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pruneflow.errors import ConfigError

PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
SHORT = {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""What Lightning once called precisions, and what it takes these names for."""

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")


def device(accelerator: str) -> str | None:
    """The device that Lightning takes for an accelerator: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        None where there is none of that kind.
    """
    there = [name for name, found in (("mps", _has_mps()), ("cuda", _has_cuda())) if found]
    if accelerator in there or accelerator == "cpu":
        return accelerator
    if accelerator in ("gpu", "auto") and there:
        return there[0]
    return "cpu" if accelerator == "auto" else None


def hindrance(accelerator: str) -> str | None:
    """Why there is no such device here; None if there is one."""
    if device(accelerator) is not None:
        return None
    if accelerator == "mps":
        return "no GPU of Apple's here that torch can use"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"no GPU here that torch can use (torch {torch.__version__} is a build without CUDA)"
    return "no GPU here that torch can use (is its driver there? nvidia-smi tells)"


def require_hardware(trainer: Mapping[str, Any]) -> None:
    """Refuse a device that is not here, and numbers that it does not have.

    Raises:
        ConfigError: With what to write instead.
    """
    accelerator, precision = str(trainer.get("accelerator", "auto")), trainer.get("precision")
    if why := hindrance(accelerator):
        key = "trainer.accelerator" if accelerator == "cuda" else "trainer"
        raise ConfigError(f"{key}={accelerator}: {why}; write trainer=cpu")
    where = device(accelerator)
    if where == "cpu" and precision == "16-mixed":
        raise ConfigError(
            "trainer.precision=16-mixed: needs a GPU; on a CPU write trainer.precision=bf16-mixed"
        )
    if where == "mps" and precision == "64-true":
        raise ConfigError(
            "trainer.precision=64-true: Apple's GPUs have no 64-bit numbers; write trainer=cpu"
        )


def _has_cuda() -> bool:
    return torch.cuda.is_available()


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
