"""Where a network runs, and in which numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from pruneflow.errors import DeployError

Device = Literal["cpu", "cuda"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Place:
    """A device, and the dtype of weights, inputs and results on it.

    Attributes:
        device: Its type.
        precision: A name of ``PRECISIONS``; sums are float32 whatever it is.
    """

    device: Device = "cpu"
    precision: str = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        """Of weights, inputs and results."""
        return PRECISIONS[self.precision]

    @property
    def is_gpu(self) -> bool:
        """Whether it is no processor."""
        return self.device == "cuda"

    @property
    def unit(self) -> float:
        """The largest relative error of storing a float32 number; 0 where it is stored whole."""
        return 0.0 if self.dtype is torch.float32 else torch.finfo(self.dtype).eps / 2

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor there; whole numbers stay what they are."""
        dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.device, dtype)

    def put_all(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors there, by name."""
        return {name: self.put(tensor) for name, tensor in tensors.items()}

    def rounded(self, tensor: torch.Tensor) -> torch.Tensor:
        """Float32 numbers as they would be stored there, in float32."""
        return tensor.to(self.dtype).to(tensor.dtype) if tensor.is_floating_point() else tensor

    def require(self) -> None:
        """Refuse a device that is not at hand.

        Raises:
            DeployError: It is not.
        """
        if self.is_gpu and not torch.cuda.is_available():
            raise DeployError(
                "deploy.device=cuda: there is no GPU here that torch can use; deploy on a machine "
                "that has one, or compile kernels for it ahead of time: deploy.target=cubin "
                "deploy.arch=sm_90"
            )


CPU = Place()


def name_of(dtype: torch.dtype) -> str:
    """``bfloat16``, without the module."""
    return str(dtype).removeprefix("torch.")


@contextmanager
def exact_sums() -> Iterator[None]:
    """Context: on a GPU torch rounds neither factors to TF32 nor partial sums to 16 bits."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Please use the new API")  # of torch 2.9 on
        wanted = [*_no_tf32(), *_no_narrow_sums()]
        before = [getattr(holder, name) for holder, name, _ in wanted]
        for holder, name, value in wanted:
            setattr(holder, name, value)
    try:
        yield
    finally:
        for (holder, name, _), value in zip(wanted, before, strict=True):
            setattr(holder, name, value)


def _no_tf32() -> Iterator[tuple[Any, str, Any]]:
    """What to set to what, in the way that the caller chose: torch refuses a mixture of both."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if _is_readable(matmul):
        yield matmul, "allow_tf32", False
    else:
        yield matmul, "fp32_precision", "ieee"
    if _is_readable(cudnn):
        yield cudnn, "allow_tf32", False
    else:
        yield cudnn.conv, "fp32_precision", "ieee"
        yield cudnn.rnn, "fp32_precision", "ieee"


def _is_readable(holder: Any) -> bool:
    """Whether TF32 was never set by precisions, as torch 2.9 and later can."""
    try:
        return isinstance(holder.allow_tf32, bool)
    except RuntimeError:
        return False


def _no_narrow_sums() -> Iterator[tuple[Any, str, Any]]:
    for dtype in ("bf16", "fp16"):
        name = f"allow_{dtype}_reduced_precision_reduction"
        yield torch.backends.cuda.matmul, name, False
