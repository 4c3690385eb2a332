"""What the machine at hand is, and how busy."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pruneflow.deploy.native import library

PACKAGES = ("pruneflow", "torch", "onnxruntime", "onnx", "numpy", "safetensors")


def device(compiles: bool = True) -> dict[str, Any]:
    """The processor, the system, the compiler and the load average.

    Args:
        compiles: Whether the C kernels may be compiled to learn by what.
    """
    return {
        "cpu": cpu(),
        "cores": os.cpu_count() or 1,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "compiler": library.library().compiler if compiles and not library.missing() else None,
        "load": [round(load, 2) for load in _load()],
    }


def cpu() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python and the packages that matter."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _load() -> tuple[float, ...]:
    try:
        return os.getloadavg()
    except (OSError, AttributeError):
        return ()
