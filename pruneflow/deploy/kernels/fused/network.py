"""A whole pruned network as one torch operation, one launch of a kernel where that is best."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import nn

from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.inputs import require_dtype, require_shape
from pruneflow.deploy.kernels import tuning
from pruneflow.deploy.kernels.base import DTYPES, Config
from pruneflow.deploy.kernels.fused import reference
from pruneflow.deploy.kernels.fused.barriers import prepare
from pruneflow.deploy.kernels.fused.launching import configs, launches
from pruneflow.deploy.kernels.fused.plan import Plan, Planner
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.deploy.place import name_of

MOST_PRODUCTS = 1 << 20
"""Of weights and inputs for one sample; beyond it, a launch for each layer costs little."""
MOST_NODES = 64
"""The kernel is compiled for every one of them."""
MOST_NUMBERS = 1 << 20
"""Of the results of all nodes together."""


def why_not(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Why a network is not worth fusing or cannot be; None if it is.

    Args:
        graph: The network.
        tensors: Its weights and biases, their zeros in place.
    """
    if any(node.op == "softmax" for node in graph.nodes):
        return "it has a softmax, which the kernel does not know"
    if any(tensor.dtype not in DTYPES for tensor in tensors.values()):
        return "its weights are not float16, bfloat16 or float32"
    if len({tensor.dtype for tensor in tensors.values()}) > 1:
        return "its weights and biases differ in dtype"
    if len(graph.nodes) > MOST_NODES:
        return f"it has more than {MOST_NODES} nodes"
    shapes = graph.shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if sum(prod(shape) for shape in shapes.values()) > MOST_NUMBERS:
        return f"the results of its nodes have more than {MOST_NUMBERS} numbers"
    products = sum(
        int(tensors[node.weight].count_nonzero()) * prod(shapes[node.name][1:])
        for node in graph.nodes
        if node.weight is not None
    )
    if products > MOST_PRODUCTS:
        return f"a sample takes {products} multiplications, more than {MOST_PRODUCTS}"
    return None


class FusedNetwork(nn.Module):
    """Runs a pruned network in one launch; ``torch.compile`` and ``torch.export`` keep it whole.

    Every call has memory of its own for what lies between the layers, so that threads may share it.

    Args:
        graph: The network.
        tensors: Its weights and biases by name, on the device to run on, all of one dtype; they
            are copied.

    Attributes:
        config: One of ``configs``; None: what was found to be best, or else the first of them.
    """

    config: Config | None = None

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
        planner = Planner(graph, {key: each.detach().cpu() for key, each in tensors.items()})
        for name, part in zip(("places", "values", "rows", "biases"), planner.parts, strict=True):
            self.register_buffer(name, part.to(device))
        self.input_shape, self.plan = graph.input_shape, planner.plan
        self._text = planner.plan.to_json()
        if device.type == "cuda":
            prepare(device)

    @property
    def parts(self) -> list[torch.Tensor]:
        """Places of weights' inputs, the weights, numbers of rows, and rows' biases."""
        return [self.get_buffer(name) for name in ("places", "values", "rows", "biases")]

    def configs(self, batch: int) -> Sequence[Config]:
        """What is worth measuring on the device, the best guess first."""
        return configs(self.plan, batch, _processors(self.parts[0].device))

    def launches(self, x: torch.Tensor, y: torch.Tensor) -> Sequence[Launch]:
        """What has to be launched.

        Args:
            x: (n, *input_shape); samples that are not contiguous are copied here and now.
            y: (n, *output_shape), contiguous, to be written.
        """
        return launches(self.plan, self.parts, x, y, self.config or self.configs(len(x))[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, ...) of inputs (n, *input_shape), of the weights' dtype.

        Raises:
            DeployError: The inputs have another shape.
        """
        require_shape(x, self.input_shape)
        require_dtype(x, self.get_buffer("values").dtype)
        config = [] if self.config is None else [self.config[name] for name in CONFIG]
        y: torch.Tensor = torch.ops.pruneflow.fused_network(x, self.parts, self._text, config)
        return y


CONFIG = ("PROGRAMS", "SPLIT", "num_warps")


@torch.library.custom_op(
    "pruneflow::fused_network",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor x, Tensor[] parts, str plan, SymInt[] config) -> Tensor",
)  # written out, for torch 2.6 cannot read it from list[...]
def fused_network(
    x: torch.Tensor, parts: list[torch.Tensor], plan: str, config: list[int]
) -> torch.Tensor:
    """Outputs of a network; on a CPU by plain torch in float32, rounded once at the end.

    Args:
        x: (n, *input_shape).
        parts: ``FusedNetwork.parts``; the weights are of the inputs' dtype.
        plan: ``Plan.to_json``.
        config: The numbers of ``CONFIG``; none: see ``FusedNetwork.config``.
    """
    return reference.run(Plan.from_json(plan), parts, x)


@fused_network.register_kernel("cuda")
def _(x: torch.Tensor, parts: list[torch.Tensor], plan: str, config: list[int]) -> torch.Tensor:
    known = Plan.from_json(plan)

    def call(config: Config) -> torch.Tensor:
        y = x.new_empty(len(x), *known.output)
        for launch in launches(known, parts, x, y, config):
            launch.run()
        return y

    with torch.cuda.device(x.device):
        if config:
            return call(dict(zip(CONFIG, config, strict=True)))
        digest = hashlib.sha256(plan.encode()).hexdigest()[:16]
        key = f"fused {digest} {name_of(x.dtype)} {len(x)}"
        return call(tuning.choose(key, configs(known, len(x), _processors(x.device)), call))


@fused_network.register_fake
def _(x: torch.Tensor, parts: list[torch.Tensor], plan: str, config: list[int]) -> torch.Tensor:
    return x.new_empty(x.shape[0], *Plan.from_json(plan).output)


def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
