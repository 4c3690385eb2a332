"""Triton where it is installed.

Without it weights can still be packed and multiplied by the plain references.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    triton: Any
    tl: Any
    constexpr = Any
    INTERPRETED: Any
else:
    try:
        import triton
        from triton import language as tl
    except ModuleNotFoundError:
        triton = tl = constexpr = INTERPRETED = None
    else:
        constexpr = tl.constexpr
        INTERPRETED = constexpr(os.environ.get("TRITON_INTERPRET") == "1")
        """Whether kernels run in Triton's interpreter, on CPU tensors."""


def jit(function: Callable[..., Any]) -> Any:
    """Decorator: ``triton.jit``, or nothing without Triton."""
    return function if tl is None else triton.jit(function)


def cdiv(total: int, part: int) -> int:
    """How many parts cover a total."""
    return -(-total // part)
