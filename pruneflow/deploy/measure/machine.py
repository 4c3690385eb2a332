"""What the machine at hand is, and how busy."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pruneflow.deploy.native import library
from pruneflow.deploy.place import CPU, Place

PACKAGES = ("pruneflow", "torch", "triton", "onnxruntime", "onnx", "numpy", "safetensors")


def device(compiles: bool = True, place: Place = CPU) -> dict[str, Any]:
    """The processor, the system, the compiler, the load average, and the GPU if it runs there.

    Args:
        compiles: Whether the C kernels may be compiled to learn by what.
        place: Where networks run.
    """
    return {
        **(gpu() | {"precision": place.precision} if place.is_gpu else {}),
        "cpu": cpu(),
        "cores": os.cpu_count() or 1,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "compiler": library.library().compiler if compiles and not library.missing() else None,
        "load": [round(load, 2) for load in _load()],
    }


def name(place: Place) -> str:
    """What networks run on."""
    return torch.cuda.get_device_name() if place.is_gpu else cpu()


def gpu() -> dict[str, Any]:
    """The GPU that torch uses, and what drives it."""
    properties = torch.cuda.get_device_properties()
    return {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "cuda": torch.version.cuda,
    }


def _driver() -> str | None:
    """The version of NVIDIA's driver, where Linux says it."""
    with suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
        if found := re.search(r"\d{3}\.\d+(\.\d+)?", text):
            return found[0]
    return None


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
