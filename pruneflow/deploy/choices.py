"""The words that ``deploy`` takes, where they can be known without torch."""

from __future__ import annotations

from pruneflow.deploy.aot.architectures import ARCHITECTURES

AUTO = "auto"
GOALS = ("balanced", "latency", "size")
DEVICES = ("cpu", "cuda")
TARGETS = ("cubin", "c99")
ACTIVATIONS = ("fp32", "int8")

VALUES = ("fp32", "fp16", "bf16", "int8")
PRECISIONS = ("fp32", "bf16", "fp16")
BACKENDS = (
    "torch", "torch_graph", "torch_compile", "torch_compile_max", "torch_compile_frozen",
    "onnxruntime", "torch_csr", "torch_bsr", "torch_2_4", "c",
    "triton_sell", "triton_bsr", "triton_nm", "triton_bitmask", "triton_fused",
)  # fmt: skip
"""These three name what is registered elsewhere; a test compares."""

CHOICES = {
    "goal": GOALS,
    "values": (AUTO, *VALUES),
    "backend": (AUTO, *BACKENDS),
    "candidates": BACKENDS,
    "device": DEVICES,
    "precision": PRECISIONS,
    "target": (AUTO, *TARGETS),
    "arch": tuple(ARCHITECTURES),
    "activations": ACTIVATIONS,
}
"""What each key of ``deploy.`` may be, but for numbers."""
