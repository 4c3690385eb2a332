"""What every Triton kernel promises: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pruneflow.deploy.kernels import KERNELS, Activation, Config, Packed, Window
from pruneflow.deploy.kernels.base import DTYPES
from pruneflow.errors import DeployError

pytest.importorskip("triton")

from tests.deploy.kernels import watched

NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # named since Python 3.12
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
EXAMPLES = 24
BATCHES = (1, 2, 3, 8, 17, 33)
SIDES = (1, 2, 7, 16, 31, 33, 64, 65, 130)
DENSITIES = (0.0, 0.02, 0.1, 0.5, 1.0)
ACTIVATIONS = (
    Activation(), Activation("relu"), Activation("relu6"), Activation("leaky_relu", -0.5),
)  # fmt: skip
MASKS = ("random", "rows", "blocks", "2:4", "1:8", "2:16")

interpreted = pytest.mark.skipif(DEVICE == "cuda", reason="compute-sanitizer watches on a GPU")
every_kernel = pytest.mark.parametrize("name", list(KERNELS))

LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda x: x,
    "every other number": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], -1)[..., 0],
    "samples last": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "one sample many times": lambda x: x[:1].expand_as(x),
    "off the vectors' alignment": lambda x: torch.cat([x.new_zeros(1), x.flatten()])[1:].view_as(x),
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
}
"""How the same inputs may lie in memory."""


@dataclass(frozen=True)
class Problem:
    """A layer and its inputs, on the CPU."""

    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    activation: Activation
    window: Window

    @property
    def unit(self) -> float:
        """The largest relative error of one rounding; the interpreter cuts bfloat16 off."""
        cuts = DEVICE == "cpu" and self.x.dtype is torch.bfloat16
        return torch.finfo(self.x.dtype).eps / (1 if cuts else 2)

    def right(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs in float64, and how far off a kernel may be.

        Sums of n products in float32, in whatever order, are off by gamma(n) times the sum of
        their magnitudes (Higham 2002, section 3.1); the result is rounded once more.
        """
        bias = None if self.bias is None else self.bias.double()
        magnitude = None if bias is None else bias.abs()
        y = self._product(self.x.double(), self.weight.double(), bias)
        total = self._product(self.x.double().abs(), self.weight.double().abs(), magnitude)
        off = (prod(self.weight.shape[1:]) + 4) * 2.0**-24
        steepest = max(1.0, abs(self.activation.slope))
        off = steepest * off / (1 - off) * total
        y = self.activation(y)
        return y, off + self.unit * (y.abs() + off) + torch.finfo(self.x.dtype).tiny

    def _product(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        if weight.dim() == 2:
            return F.linear(x, weight, bias)
        window = self.window
        return F.conv2d(x, weight, bias, window.stride, window.padding, window.dilation)

    def assert_right(self, y: torch.Tensor) -> None:
        right, bound = self.right()
        assert y.shape == right.shape
        assert y.dtype == self.x.dtype
        error = (y.cpu().double() - right).abs()
        assert (error <= bound).all(), f"off by {float((error / bound).nan_to_num(9e9).max()):.3g}"


def masked(kind: str, shape: tuple[int, ...], density: float, seed: int) -> torch.Tensor:
    """A mask of a kind."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = shape[0], prod(shape[1:])
    keep = torch.rand(rows, columns, generator=generator)
    if kind == "random":
        return (keep < density).reshape(shape)
    if kind == "rows":  # most rows are empty, some are full
        return (keep[:, :1] < density).expand(rows, columns).reshape(shape).clone()
    if kind == "blocks":
        tiles = keep[: -(-rows // 16), : -(-columns // 16)] < density
        return (
            tiles.repeat_interleave(16, 0).repeat_interleave(16, 1)[:rows, :columns].reshape(shape)
        )
    kept, group = map(int, kind.split(":"))
    padded = F.pad(keep, (0, -columns % group)).reshape(rows, -1, group)
    order = padded.argsort(-1).argsort(-1)
    return (order < kept).reshape(rows, -1)[:, :columns].reshape(shape)


@st.composite
def problems(draw: st.DrawFn, name: str) -> Problem:
    """A layer that a kernel does not refuse."""
    kernel, seed = KERNELS[name], draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    window = Window()
    if kernel.op == "linear":
        shape: tuple[int, ...] = (draw(st.sampled_from(SIDES)), draw(st.sampled_from(SIDES)))
        inputs: tuple[int, ...] = (draw(st.sampled_from(BATCHES)), shape[1])
    else:
        pairs = [(draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2)]
        padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        window = Window(pairs[0], padding, pairs[1])
        kernel_sides = [draw(st.sampled_from([1, 2, 3, 5])) for _ in range(2)]
        reach = [gap * (k - 1) + 1 for gap, k in zip(window.dilation, kernel_sides, strict=True)]
        sides = [
            max(draw(st.integers(1, 9)), side - 2 * pad)
            for side, pad in zip(reach, padding, strict=True)
        ]
        channels = draw(st.sampled_from([1, 3, 16, 17, 40]))
        shape = (draw(st.sampled_from([1, 5, 16, 33, 64])), channels, *kernel_sides)
        inputs = (draw(st.integers(1, 3)), channels, *sides)
    dtype, kind = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(MASKS))
    values = torch.randn(shape, generator=generator)
    mask = masked(kind, shape, draw(st.sampled_from(DENSITIES)), seed)
    weight = (values * mask).to(dtype)  # zeros have signs, as those of pruned weights
    if kernel.refuses(weight):
        weight = (values * masked("1:8", shape, 1.0, seed)).to(dtype)
    assert kernel.refuses(weight) is None
    x = torch.randn(inputs, generator=generator).to(dtype)
    x = LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](x)
    bias = torch.randn(shape[0], generator=generator).to(dtype) if draw(st.booleans()) else None
    return Problem(x, weight, bias, draw(st.sampled_from(ACTIVATIONS)), window)


def packed_on_device(name: str, problem: Problem) -> Packed:
    return KERNELS[name].pack(problem.weight).to(DEVICE)


def batch_of(name: str, problem: Problem) -> int:
    """What ``configs`` is asked with."""
    if KERNELS[name].op == "linear":
        return len(problem.x)
    sides = problem.window.output(problem.x.shape[2:], problem.weight.shape[2:])
    return len(problem.x) * prod(sides)


def run(name: str, problem: Problem, packed: Packed, config: Config) -> torch.Tensor:
    """Outputs by Triton, whatever was not written yet being NaN."""
    bias = None if problem.bias is None else problem.bias.to(DEVICE)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        x = problem.x.to(DEVICE)
        if x.stride() != problem.x.stride():
            x = torch.empty_strided(x.shape, problem.x.stride(), dtype=x.dtype, device=DEVICE)
            x.copy_(problem.x)
        kernel = KERNELS[name]
        return kernel.run(x, packed, bias, problem.activation, problem.window, config)
    finally:
        torch.use_deterministic_algorithms(before)


# -- packing -------------------------------------------------------------------------------


@every_kernel
@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_unpacking_gives_the_weight_back(name: str, data: st.DataObject) -> None:
    weight = data.draw(problems(name)).weight
    packed = KERNELS[name].pack(weight)
    again = KERNELS[name].unpack(packed)
    assert again.dtype == weight.dtype
    assert again.shape == weight.shape == packed.shape
    same = {torch.float32: torch.int32}.get(weight.dtype, torch.int16)
    assert torch.equal((again + 0.0).view(same), (weight + 0.0).view(same))
    assert packed.kernel == name
    assert all(part.is_contiguous() for part in packed.parts)


@every_kernel
def test_packing_does_not_touch_the_weight(name: str) -> None:
    weight = torch.where(masked("1:8", (40, 48, 1, 1), 1.0, 0), 1.0, 0.0)
    weight = weight if KERNELS[name].op == "conv2d" else weight[..., 0, 0]
    before = weight.clone()
    packed = KERNELS[name].pack(weight)
    for part in packed.parts:
        part.fill_(1)
    assert torch.equal(weight, before)


# -- results -------------------------------------------------------------------------------


@every_kernel
@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_outputs_are_right_and_always_the_same(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(name))
    packed = packed_on_device(name, problem)
    config = data.draw(
        st.sampled_from(list(KERNELS[name].configs(packed, batch_of(name, problem))))
    )
    y = run(name, problem, packed, config)
    problem.assert_right(y)
    assert torch.equal(y, run(name, problem, packed, config))


@every_kernel
@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_the_reference_is_right(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(name))
    packed = KERNELS[name].pack(problem.weight)
    kernel = KERNELS[name]
    y = kernel.reference(problem.x, packed, problem.bias, problem.activation, problem.window)
    problem.assert_right(y)


@every_kernel
@given(data=st.data())
@settings(max_examples=10)
def test_a_sample_that_is_not_finite_spoils_no_other(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(name))
    packed = packed_on_device(name, problem)
    config = KERNELS[name].configs(packed, batch_of(name, problem))[0]
    clean = torch.cat([problem.x, problem.x])
    spoilt = clean.clone()
    spoilt[len(problem.x) :] = torch.nan
    rest = (problem.weight, problem.bias, problem.activation, problem.window)
    expected = run(name, Problem(clean, *rest), packed, config)
    found = run(name, Problem(spoilt, *rest), packed, config)
    assert torch.equal(found[: len(problem.x)], expected[: len(problem.x)])


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # infinity times zero
@every_kernel
@given(data=st.data(), number=st.sampled_from([torch.nan, torch.inf, -torch.inf]))
@settings(max_examples=15)
def test_a_number_that_is_not_finite_spoils_what_it_spoils_anyway(
    name: str, data: st.DataObject, number: float
) -> None:
    """A dense product multiplies it as well: into every output whose window it is in."""
    problem = data.draw(problems(name))
    packed = packed_on_device(name, problem)
    configs = KERNELS[name].configs(packed, batch_of(name, problem))
    config = data.draw(st.sampled_from(list(configs)))
    clean = problem.x.contiguous()
    spoilt = clean.clone()
    spoilt.view(-1)[data.draw(st.integers(0, spoilt.numel() - 1))] = number
    rest = (problem.weight, problem.bias, Activation(), problem.window)
    whole = torch.ones(problem.weight.shape)
    is_apart = problem._product((~spoilt.isfinite()).float(), whole, None) == 0
    expected = run(name, Problem(clean, *rest), packed, config)
    found = run(name, Problem(spoilt, *rest), packed, config)
    assert torch.equal(found.cpu()[is_apart], expected.cpu()[is_apart])


@every_kernel
def test_no_samples_have_no_outputs(name: str) -> None:
    kernel = KERNELS[name]
    weight = torch.where(masked("1:8", (40, 48, 1, 1), 1.0, 0), 1.0, 0.0)
    weight = weight if kernel.op == "conv2d" else weight[..., 0, 0]
    packed = kernel.pack(weight).to(DEVICE)
    x = torch.zeros(0, *weight.shape[1:], device=DEVICE)
    y = kernel.run(x, packed, None, Activation(), Window(), kernel.configs(packed, 1)[0])
    assert y.shape == (0, 40, *weight.shape[2:])


# -- memory --------------------------------------------------------------------------------


@interpreted
@every_kernel
@given(data=st.data())
@settings(max_examples=15)
def test_programs_touch_what_is_theirs(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(name))
    kernel, packed = KERNELS[name], KERNELS[name].pack(problem.weight)
    configs = kernel.configs(packed, batch_of(name, problem))
    config = data.draw(st.sampled_from(list(configs)))
    y = kernel.output(problem.x, packed, problem.window)
    rest = (packed, problem.bias, problem.activation, problem.window, config, y)
    for launch in kernel.launches(problem.x, *rest):
        watched.run(launch)
    problem.assert_right(y)


@interpreted
@every_kernel
@pytest.mark.parametrize("far", [0, 1], ids=["samples", "inputs"])
def test_inputs_may_lie_far_apart(name: str, far: int) -> None:
    """More than 2^31 numbers, of which only those that are read need memory."""
    kernel = KERNELS[name]
    weight = torch.where(masked("2:16", (64, 192, 1, 1), 1.0, 0), 1.0, 0.0).half()
    sizes, strides = [3, 192, 1, 1], [192, 1, 1, 1]
    strides[far] = 2**31 // (2, 60)[far] + 16
    if kernel.op == "linear":
        weight, sizes, strides = weight[..., 0, 0], sizes[:2], strides[:2]
    room = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    memory = mmap.mmap(-1, 2 * room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    x = torch.frombuffer(memory, dtype=torch.half).as_strided(sizes, strides)
    x.copy_(torch.randn(sizes))
    problem = Problem(x, weight, None, Activation(), Window())
    packed = kernel.pack(weight)
    for config in kernel.configs(packed, 3):
        y = kernel.output(x, packed, Window())
        for launch in kernel.launches(x, packed, None, Activation(), Window(), config, y):
            watched.run(launch)
        problem.assert_right(y)


@every_kernel
def test_grids_fit_however_many_samples(name: str) -> None:
    kernel = KERNELS[name]
    weight = torch.where(masked("1:8", (40, 48, 1, 1), 1.0, 0), 1.0, 0.0)
    weight = weight if kernel.op == "conv2d" else weight[..., 0, 0]
    packed = kernel.pack(weight)
    x = torch.zeros(1, *weight.shape[1:]).expand(1 << 20, *weight.shape[1:])
    y = kernel.output(x, packed, Window())
    for config in kernel.configs(packed, len(x)):
        launches = kernel.launches(x, packed, None, Activation(), Window(), config, y)
        for down, *others in (launch.grid for launch in launches):
            assert down < 1 << 31
            assert all(other < 1 << 16 for other in others)


# -- what is said of them ------------------------------------------------------------------


@every_kernel
def test_configs_are_distinct_and_say_warps_and_stages(name: str) -> None:
    kernel = KERNELS[name]
    weight = torch.where(masked("1:8", (96, 128, 1, 1), 1.0, 0), 1.0, 0.0)
    packed = kernel.pack(weight if kernel.op == "conv2d" else weight[..., 0, 0])
    for batch in (1, 4, 16, 64, 256, 2048):
        configs = [dict(config) for config in kernel.configs(packed, batch)]
        assert configs
        assert all({"num_warps", "num_stages"} <= config.keys() for config in configs)
        assert len({tuple(sorted(config.items())) for config in configs}) == len(configs)


# -- as torch operations -------------------------------------------------------------------


class Layer(torch.nn.Module):
    """A packed layer."""

    def __init__(self, name: str, problem: Problem) -> None:
        super().__init__()
        self.packed = KERNELS[name].pack(problem.weight)
        self.problem = problem

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        packed, problem = self.packed, self.problem
        window = [*problem.window.stride, *problem.window.padding, *problem.window.dilation]
        y: torch.Tensor = torch.ops.pruneflow.sparse_layer(
            x, list(packed.parts), problem.bias, packed.kernel, list(packed.shape),
            list(packed.numbers), problem.activation.name, problem.activation.slope, window,
        )  # fmt: skip
        return y


def layer(name: str) -> tuple[Layer, torch.Tensor]:
    weight = torch.where(masked("1:8", (40, 48, 1, 1), 1.0, 0), 1.0, 0.0)
    x = torch.randn(3, 48, 2, 2)
    if KERNELS[name].op == "linear":
        weight, x = weight[..., 0, 0], x[..., 0, 0].contiguous()
    return Layer(name, Problem(x, weight, torch.randn(40), Activation("relu"), Window())), x


@every_kernel
def test_a_layer_can_be_exported(name: str) -> None:
    import pruneflow.deploy.kernels.ops  # noqa: F401

    module, x = layer(name)
    exported = torch.export.export(module, (x,))
    module.problem.assert_right(exported.module()(x))
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert called == ["pruneflow.sparse_layer.default"]


@every_kernel
def test_the_operation_tells_its_shapes_truly(name: str) -> None:
    from pruneflow.deploy.kernels import ops

    module, x = layer(name)
    packed, problem = module.packed, module.problem
    arguments = (
        x, list(packed.parts), problem.bias, packed.kernel, list(packed.shape),
        list(packed.numbers), "relu", 0.0, [1, 1, 0, 0, 1, 1],
    )  # fmt: skip
    torch.library.opcheck(
        ops.sparse_layer, arguments, test_utils=("test_schema", "test_faketensor")
    )


@every_kernel
def test_inputs_that_the_kernel_would_leave_are_refused(name: str) -> None:
    import pruneflow.deploy.kernels.ops  # noqa: F401

    module, x = layer(name)
    for bad in (x[:, :-1], x[..., None]):
        with pytest.raises(DeployError, match="does not take inputs"):
            module(bad)
