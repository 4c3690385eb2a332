"""Triton kernels for pruned layers, one file each; each registers a name."""

from pruneflow.deploy.kernels import sell
from pruneflow.deploy.kernels.base import KERNELS, Activation, Config, Kernel, Packed, Window

__all__ = ["KERNELS", "Activation", "Config", "Kernel", "Packed", "Window", "sell"]
