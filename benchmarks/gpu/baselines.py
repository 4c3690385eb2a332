"""What torch has for sparse weights: cuSPARSE, its block-sparse Triton kernel, and 2:4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.gpu.engine import Made, NotHereError, reason
from benchmarks.gpu.machine import Run
from benchmarks.gpu.problem import Problem

NARROWEST = 16
"""Tiles of torch's block-sparse kernel have at least so many samples."""


def csr(problem: Problem) -> Made:
    """cuSPARSE, for one sample also as a product with a vector."""
    weight, x = problem.weight.csr, problem.x
    variants: dict[str, Run] = {"CSR times columns": lambda: (weight @ x.T).T}
    if len(x) == 1:
        variants["CSR times a vector"] = lambda: torch.mv(weight, x[0])[None]
    size = sum(p.nbytes for p in (weight.crow_indices(), weight.col_indices(), weight.values()))
    return Made(variants, problem.moved(size), problem.weight.nonzeros, {"bytes": size})


def bsr(problem: Problem) -> Made:
    """``bsr_dense_addmm``: as torch tunes it, and with other tiles; inputs padded beforehand."""
    from torch.sparse._triton_ops import bsr_dense_addmm

    weight, count = problem.weight.bsr, len(problem.x)
    x = F.pad(problem.x, (0, 0, 0, max(0, NARROWEST - count)))
    unread = x.new_empty(weight.shape[0], len(x))

    def call(dense: torch.Tensor, meta: dict[str, int] | None) -> Callable[[], torch.Tensor]:
        return lambda: bsr_dense_addmm(unread, weight, dense, beta=0, meta=meta)[:, :count].T

    variants = {"as it comes": call(x.T, None), "inputs turned": call(x.T.contiguous(), None)}
    for width in (16, 64, 128):
        if len(x) % width == 0:
            meta = {"SPLIT_N": len(x) // width, "GROUP_SIZE_ROW": 4, "num_warps": 4}
            variants[f"{width} samples wide"] = call(x.T, {**meta, "num_stages": 3})
    size = sum(p.nbytes for p in (weight.crow_indices(), weight.col_indices(), weight.values()))
    return Made(variants, problem.moved(size), weight.values().numel(), {"bytes": size})


def semi(problem: Problem) -> Made:
    """``to_sparse_semi_structured``, by cuSPARSELt and by CUTLASS."""
    weight, x = problem.weight.dense, problem.x

    def call(layout: Any) -> Callable[[], torch.Tensor]:
        held = layout.from_dense(weight)
        return lambda: F.linear(x, held)

    variants, failed = {}, {}
    for name in ("CUSPARSELT", "CUTLASS"):
        try:
            variants[name] = call(getattr(torch.sparse, f"SparseSemiStructuredTensor{name}"))
        except Exception as error:  # either may be left out of a build of torch
            failed[name] = reason(error)
    if not variants:
        raise NotHereError("; ".join(f"{name}: {why}" for name, why in failed.items()))
    size = weight.nbytes * 9 // 16
    return Made(variants, problem.moved(size), weight.numel() // 2, {"bytes": size})
