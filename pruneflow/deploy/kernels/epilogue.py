"""What kernels do alike: products in float32, and what follows the last of them."""

from __future__ import annotations

from pruneflow.deploy.kernels.language import INTERPRETED, constexpr, jit, tl


@jit
def multiplied(a, b, total):
    """``total + a @ b`` on tensor cores, in float32; float32 inputs are not rounded to TF32."""
    if INTERPRETED:  # its product of bfloat16 multiplies bit patterns
        return total + tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, total, input_precision="ieee")


@jit
def activated(value, KIND: constexpr, SLOPE: constexpr):
    """An activation by its number in ``base.ACTIVATIONS``."""
    if KIND == 1:
        value = tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)
    elif KIND == 2:
        value = tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)
        value = tl.minimum(value, 6.0, propagate_nan=tl.PropagateNan.ALL)
    elif KIND == 3:
        value = tl.where(value >= 0, value, value * SLOPE)
    return value
