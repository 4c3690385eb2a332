"""A layer to multiply by: its weight in the layouts that engines read, inputs, right outputs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, lru_cache

import torch

from benchmarks.gpu.cases import BLOCKS, DTYPES, SIDE, Case, pruned
from benchmarks.gpu.engine import NotHereError, Right
from pruneflow.deploy.kernels import KERNELS, Packed

ONLY_FOR = {"bsr": BLOCKS}
"""Kernels that store whole blocks."""

KEPT = 2
"""Weights, with all that is made of them, which stay on the device."""

SLICE = 1024
"""Rows of a weight that are widened to float64 at a time."""


class Weight:
    """A pruned weight (out, in) in every layout that was asked for."""

    def __init__(self, case: Case, device: str) -> None:
        self.mask = case.mask
        self.dense = pruned(case, device)
        self.nonzeros = int(self.dense.count_nonzero())
        self._packing: dict[str, Future[Packed]] = {}

    @cached_property
    def on_cpu(self) -> torch.Tensor:
        """As kernels pack it."""
        return self.dense.cpu()

    @cached_property
    def csr(self) -> torch.Tensor:
        """For cuSPARSE, with 32-bit indices."""
        wide = self.dense.to_sparse_csr()
        crow, column = (part.to(torch.int32) for part in (wide.crow_indices(), wide.col_indices()))
        return torch.sparse_csr_tensor(crow, column, wide.values(), wide.shape)

    @cached_property
    def bsr(self) -> torch.Tensor:
        """For torch's own kernel."""
        return self.dense.to_sparse_bsr((SIDE, SIDE))

    def packed(self, kernel: str) -> Packed:
        """For one of our kernels; all of them are packed at once, which saves minutes."""
        if not self._packing:
            weight = self.on_cpu
            pool = ThreadPoolExecutor()
            for name in kernels_for(self.mask):
                self._packing[name] = pool.submit(_pack, name, weight)
            pool.shutdown(wait=False)
        return self._packing[kernel].result().to(self.dense.device)


def kernels_for(mask: str) -> list[str]:
    """Our kernels for linear layers that make sense for a mask."""
    linear = (name for name in KERNELS if KERNELS[name].op == "linear")
    return [name for name in linear if ONLY_FOR.get(name, mask) == mask]


def _pack(kernel: str, weight: torch.Tensor) -> Packed:
    if why := KERNELS[kernel].refuses(weight):
        raise NotHereError(f"the weight: {why}")
    return KERNELS[kernel].pack(weight)


@lru_cache(KEPT)
def _weight_of(case: Case, device: str) -> Weight:
    return Weight(case, device)


class Problem:
    """A weight and inputs (n, in) on a device."""

    def __init__(self, case: Case, device: str) -> None:
        self.weight = _weight_of(replace(case, batch=0), device)  # batches share it
        generator = torch.Generator(device).manual_seed(1)
        shape, dtype = (case.batch, case.shape[1]), DTYPES[case.dtype]
        self.x = torch.randn(shape, generator=generator, device=device, dtype=dtype)

    def moved(self, weight_bytes: int) -> int:
        """Bytes of a weight's format, the inputs and the outputs."""
        rows, columns = self.weight.dense.shape
        return weight_bytes + self.x.element_size() * len(self.x) * (rows + columns)

    @cached_property
    def right(self) -> Right:
        """The outputs."""
        return right(self.x, self.weight.dense)

    @cached_property
    def smaller(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and weight of a dense layer with as many parameters, both sides shrunk alike."""
        share = (self.weight.nonzeros / self.weight.dense.numel()) ** 0.5
        rows, columns = (max(8, 8 * round(share * side / 8)) for side in self.weight.dense.shape)
        return self.x[:, :columns].contiguous(), self.weight.dense[:rows, :columns].contiguous()


def right(x: torch.Tensor, weight: torch.Tensor) -> Right:
    """A product in float64, and how far off one in float32 that is rounded once may be.

    A sum of n products is off by gamma(n) times the sum of their magnitudes, in whatever order
    (Higham 2002, section 3.1). On a CPU, Triton's interpreter cuts bfloat16 off.
    """
    parts, wide = weight.split(SLICE), x.double()
    outputs = torch.cat([wide @ part.double().T for part in parts], 1)
    total = torch.cat([wide.abs() @ part.double().abs().T for part in parts], 1)
    terms = (weight.shape[1] + 4) * 2.0**-24
    off = terms / (1 - terms) * total
    info = torch.finfo(x.dtype)
    cuts = x.device.type == "cpu" and x.dtype is torch.bfloat16
    unit = info.eps / (1 if cuts else 2)
    return Right(outputs, off + unit * (outputs.abs() + off) + info.tiny)
