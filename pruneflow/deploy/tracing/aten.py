"""How calls of ATen operations, which are what torch.export finds, become nodes of a graph.

One rule an operation, whatever way a person wrote it: ``nn.ReLU``, ``F.relu`` and
``x.clamp(min=0)`` are all ``relu``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from pruneflow.deploy.graphs.ops import Value
from pruneflow.deploy.tracing.calls import Call, RefusedCallError, Step

BATCH_NORM = "batch_norm"
"""A step that is no operation of a graph: it has to be folded."""

Rule = Callable[[Call], list[Step]]
"""The steps that do what a call does; none: it does nothing. Raises RefusedCallError."""


def _weighted(call: Call) -> dict[str, torch.Tensor | None]:
    return {"weight": call.constant("weight"), "bias": call.constant("bias")}


def _linear(call: Call) -> list[Step]:
    if call.activation().dim() != 2:
        raise RefusedCallError(f"its input is {tuple(call.activation().shape)}, not (n, features)")
    return [Step("linear", tensors=_weighted(call))]


def _conv2d(call: Call) -> list[Step]:
    call.maps()
    if call.arguments.get("transposed"):
        raise RefusedCallError("it is transposed")
    weight, dilation = call.constant("weight"), call.pair("dilation")
    assert weight is not None
    padding = call.arguments["padding"]
    if padding == "same":
        total = [gap * (k - 1) for gap, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(pad % 2 for pad in total):
            raise RefusedCallError("padding='same' of an even kernel is not symmetric")
        sides = [pad // 2 for pad in total]
    else:
        sides = [0, 0] if padding == "valid" else call.pair("padding")
    groups = call.arguments["groups"]
    assert isinstance(groups, int)
    options = {"stride": call.pair("stride"), "padding": sides, "dilation": dilation}
    return [Step("conv2d", {**options, "groups": groups}, _weighted(call))]


def _batch_norm(call: Call) -> list[Step]:
    if call.arguments.get("training"):
        raise RefusedCallError("it takes the statistics of each batch (it tracks no running ones)")
    names = {"weight": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    tensors = {ours: call.constant(theirs) for ours, theirs in names.items()}
    eps = call.arguments["eps"]
    assert isinstance(eps, float)
    return [Step(BATCH_NORM, {"eps": eps}, tensors)]


def _clamp(lowest: str, highest: str | None) -> Rule:
    known: Mapping[object, str] = {(0, None): "relu", (0, 6): "relu6"}

    def rule(call: Call) -> list[Step]:
        limits = call.arguments[lowest], call.arguments[highest] if highest else None
        if limits not in known:
            raise RefusedCallError("it clamps neither to 0 and above nor from 0 to 6")
        return [Step(known[limits])]

    return rule


def _leaky_relu(call: Call) -> list[Step]:
    slope = call.arguments["negative_slope"]
    assert isinstance(slope, int | float)
    return [Step("leaky_relu", {"slope": float(slope)})]


def _pool_options(call: Call) -> dict[str, Value]:
    call.maps()
    kernel = call.pair("kernel_size")
    return {
        "kernel": kernel,
        "stride": call.pair("stride") or kernel,
        "padding": call.pair("padding"),
        "ceil_mode": call.flag("ceil_mode"),
    }


def _max_pool(call: Call) -> list[Step]:
    return [Step("max_pool2d", _pool_options(call) | {"dilation": call.pair("dilation")})]


def _avg_pool(call: Call) -> list[Step]:
    call.require("divisor_override", None)
    counted = call.flag("count_include_pad")
    return [Step("avg_pool2d", _pool_options(call) | {"count_include_pad": counted})]


def _adaptive_avg_pool(call: Call) -> list[Step]:
    sides, wanted = list(call.maps().shape[2:]), list(call.result.shape[2:])
    if wanted == [1, 1]:
        return [Step("global_avg_pool")]
    if sides == wanted:
        return []
    if any(side % want for side, want in zip(sides, wanted, strict=True)):
        raise RefusedCallError(f"windows of {sides} for {wanted} results are of unequal size")
    kernel = [side // want for side, want in zip(sides, wanted, strict=True)]
    plain: dict[str, Value] = {"padding": [0, 0], "ceil_mode": False, "count_include_pad": True}
    return [Step("avg_pool2d", {"kernel": kernel, "stride": kernel, **plain})]


def _mean(call: Call) -> list[Step]:
    maps, dims = call.maps(), call.arguments.get("dim")
    over = {dim % 4 for dim in dims} if isinstance(dims, list | tuple) else set()
    if over != {2, 3} or call.result.dtype != maps.dtype:
        raise RefusedCallError("only the mean over height and width is known")
    return [Step("global_avg_pool")] + ([] if call.flag("keepdim") else [Step("flatten")])


def _reshape(call: Call) -> list[Step]:
    before, after = call.activation(), call.result
    if before.dtype != after.dtype:
        raise RefusedCallError("it changes the dtype")
    if before.shape == after.shape:
        return []
    if after.shape != before.flatten(1).shape:
        raise RefusedCallError(
            f"it makes {tuple(after.shape)} of {tuple(before.shape)}; only flattening all but the "
            "batch is known"
        )
    return [Step("flatten")]


def _same(call: Call) -> list[Step]:
    if call.activation().dtype != call.result.dtype:
        raise RefusedCallError(f"it makes {call.result.dtype} of {call.activation().dtype}")
    return []


def _dropout(call: Call) -> list[Step]:
    call.require("train", False)
    return _same(call)


def _add(call: Call) -> list[Step]:
    call.require("alpha", 1)
    if type(call.arguments["other"]) is int and call.arguments["other"] == 0:  # how sum() begins
        return _same(call)
    left, right = call.activation("self"), call.activation("other")
    if left.shape != right.shape or left.dtype != right.dtype:
        raise RefusedCallError(f"{tuple(left.shape)} and {tuple(right.shape)} are not alike")
    return [Step("add")]


def _softmax(call: Call) -> list[Step]:
    x = call.activation()
    if x.dim() != 2 or call.arguments["dim"] not in (1, -1):
        along = f"dimension {call.arguments['dim']} of {tuple(x.shape)}"
        raise RefusedCallError(f"it goes along {along}; only the features of (n, features)")
    if x.dtype != call.result.dtype:
        raise RefusedCallError("it changes the dtype")
    return [Step("softmax")]


RULES: Mapping[str, Rule] = {
    "aten::linear": _linear,
    **dict.fromkeys(["aten::conv2d", "aten::convolution"], _conv2d),
    **dict.fromkeys(
        ["aten::batch_norm", "aten::_native_batch_norm_legit_no_training"], _batch_norm
    ),
    "aten::relu": lambda call: [Step("relu")],
    "aten::relu6": lambda call: [Step("relu6")],
    "aten::clamp": _clamp("min", "max"),
    "aten::clamp_min": _clamp("min", None),
    "aten::hardtanh": _clamp("min_val", "max_val"),
    "aten::leaky_relu": _leaky_relu,
    **dict.fromkeys(["aten::max_pool2d", "aten::max_pool2d_with_indices"], _max_pool),
    "aten::avg_pool2d": _avg_pool,
    **dict.fromkeys(
        ["aten::adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d"], _adaptive_avg_pool
    ),
    "aten::mean": _mean,
    **dict.fromkeys(
        ["aten::flatten", "aten::view", "aten::_unsafe_view", "aten::reshape", "aten::squeeze"],
        _reshape,
    ),
    **dict.fromkeys(
        [
            "aten::alias",
            "aten::clone",
            "aten::contiguous",
            "aten::detach",
            "aten::_to_copy",
            "aten::to",
        ],
        _same,
    ),
    **dict.fromkeys(
        ["aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::native_dropout"],
        _dropout,
    ),
    "aten::add": _add,
    **dict.fromkeys(["aten::softmax", "aten::_softmax"], _softmax),
}
