"""Run by ``test_sanitizers``: programs in memory that ends where it has to.

Usage: python -m tests.deploy.native.sanitized kernels.so
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.native import layers, library
from pruneflow.deploy.native.abi import Variant
from pruneflow.deploy.native.program import NativeProgram
from tests.deploy.native.kernels import (
    assert_right,
    force,
    large_convolutions,
    linear,
    meshes,
    pools,
    sparse_matrix,
    using,
    wide_layers,
)
from tests.deploy.networks import KNOWN, Network, networks, prune_
from tests.strategies import load_profile

_free = ctypes.CDLL(None).free
_free.argtypes = [ctypes.c_void_p]
_allocate = ctypes.CDLL(None).posix_memalign
_allocate.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_size_t]


class TightArena(layers.Arena):
    """Memory with nothing usable behind it; the sanitizer knows where each piece ends."""

    cut = 0

    def __init__(self) -> None:
        self._addresses: list[int] = []

    def __del__(self) -> None:
        for address in self._addresses:
            _free(address)

    def _aligned(self, count: int, dtype: np.dtype) -> np.ndarray:
        size = max(count * dtype.itemsize - self.cut, 1)
        address = ctypes.c_void_p()
        assert _allocate(ctypes.byref(address), 64, size) == 0
        assert address.value is not None
        self._addresses.append(address.value)
        whole = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address.value))
        whole[:] = 0xFF
        return whole[: size // dtype.itemsize * dtype.itemsize].view(dtype)


drawn = networks() | wide_layers() | large_convolutions() | pools() | meshes()


@given(drawn, st.sampled_from([0, 1, 2, 17, 65]), st.sampled_from([1, 2]))
@settings(max_examples=80)
def drawn_networks(network: Network, batch: int, threads: int) -> None:
    """As in the tests proper."""
    with using_threads(threads):
        run = NativeProgram(network.graph, network.tensors)
        assert_right(run, network, network.inputs(batch))


@given(wide_layers())
@settings(max_examples=30)
def every_variant(network: Network) -> None:
    """Whatever the costs say."""
    before = layers.STEP_COST
    for cost in (0.0, float("inf")):
        layers.STEP_COST = cost
        run = NativeProgram(network.graph, network.tensors)
        assert_right(run, network, network.inputs(1))
    force(run, Variant.ROWS)
    assert_right(run, network, network.inputs(1))
    layers.STEP_COST = before


def known_networks() -> None:
    """Of real sizes."""
    from pruneflow.deploy.tracing.trace import trace

    for name in ("lenet5", "small_resnet"):
        make, shape = KNOWN[name]
        traced = trace(prune_(make(), 0.9), torch.zeros(2, *shape))
        network = Network(traced.graph, traced.tensors)
        run = NativeProgram(network.graph, network.tensors)
        for batch in (1, 3):
            assert_right(run, network, network.inputs(batch))


def overrun() -> None:
    """Scratch memory that is too small: what has to be noticed."""
    network = linear(sparse_matrix(20, 100, 0.1, seed=0))
    run = NativeProgram(network.graph, network.tensors)
    TightArena.cut = 4 * 160
    run(network.inputs(1))


def died(work: Callable[[], None]) -> bool:
    """Whether a child process dies of some work."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main() -> None:
    """Say "clean" if nothing was noticed but what has to be."""
    load_profile()
    torch.set_num_threads(1)
    handle = library._declared(ctypes.CDLL(sys.argv[1]))
    layers.Arena = TightArena  # type: ignore[misc]
    with using(library.Library(handle, "test", ("-fopenmp",))):
        assert died(overrun), "the sanitizer is blind"
        drawn_networks()
        every_variant()
        known_networks()
    print("clean")


if __name__ == "__main__":
    main()
