"""Triton kernels for pruned layers, one file each; each registers a name.

They are imported, and Triton with them, when ``KERNELS`` is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pruneflow.deploy.kernels.base import Activation, Config, Kernel, Packed, Window

if TYPE_CHECKING:
    from pruneflow.deploy.kernels.base import KERNELS

_MODULES = ("sell", "nm", "bsr", "bsr_conv", "bitmask")

__all__ = ["KERNELS", "Activation", "Config", "Kernel", "Packed", "Window"]


def __getattr__(name: str) -> Any:
    if name != "KERNELS":
        raise AttributeError(f"module 'pruneflow.deploy.kernels' has no attribute '{name}'")
    for module in _MODULES:
        import_module(f"pruneflow.deploy.kernels.{module}")
    return import_module("pruneflow.deploy.kernels.base").KERNELS
