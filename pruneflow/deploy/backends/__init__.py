"""Ways to run a network; each registers a name."""

from pruneflow.deploy.backends import torch_dense  # isort: skip - the baseline comes first
from pruneflow.deploy.backends import c, onnx, torch_csr, torch_sparse, triton, triton_fused
from pruneflow.deploy.backends.base import BACKENDS, Backend, Run

__all__ = [
    "BACKENDS",
    "Backend",
    "Run",
    "c",
    "onnx",
    "torch_csr",
    "torch_dense",
    "torch_sparse",
    "triton",
    "triton_fused",
]
