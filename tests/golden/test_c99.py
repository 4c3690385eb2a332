"""A small network as C99, frozen: programs that people wrote call what stands in its header.

Where a change is meant, rewrite the files with

    PRUNEFLOW_GOLDEN=write python -m pytest tests/golden/test_c99.py

and read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.deploy.bundles.packing import pack
from pruneflow.deploy.c99.choosing import unit_of
from pruneflow.deploy.c99.header import header_of
from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.source import source_of
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.network import of_graph

GOLDEN = Path(__file__).resolve().parent
WRITE = os.environ.get("PRUNEFLOW_GOLDEN") == "write"
NAME = "c99_tiny"


def files() -> dict[str, str]:
    """A convolution, a pool and a classifier, of weights that need no generator."""
    window: dict[str, Any] = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    halves: dict[str, Any] = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0],
                              "dilation": [1, 1], "ceil_mode": False}  # fmt: skip
    nodes = (
        Node("conv", "conv2d", ("input",), "conv.weight", "conv.bias", window),
        Node("relu", "relu", ("conv",)),
        Node("pool", "max_pool2d", ("relu",), options=halves),
        Node("flat", "flatten", ("pool",)),
        Node("fc", "linear", ("flat",), "fc.weight", "fc.bias"),
        Node("softmax", "softmax", ("fc",)),
    )
    conv, fc = torch.zeros(2, 1, 3, 3), torch.zeros(3, 8)
    conv[0, 0].fill_diagonal_(0.5)
    conv[1, 0, 1] = torch.tensor([-1.0, 2.0, -1.0])
    fc[0, 0], fc[1, 3:6], fc[2, 7] = 1.0, torch.tensor([0.25, -0.5, 0.75]), -1.27
    tensors = {"conv.weight": conv, "conv.bias": torch.tensor([0.0, 0.125]), "fc.weight": fc,
               "fc.bias": torch.tensor([0.1, 0.2, 0.3])}  # fmt: skip
    network = of_graph(Graph((1, 4, 4), nodes, "softmax"), tensors)
    weights = {name: pack(name, tensors[name], None, "dense", "int8") for name in network.weights}
    unit = unit_of(NAME, network, weights, "size", "gaps8")
    inputs, outputs = torch.arange(16.0).reshape(1, 1, 4, 4) / 16, torch.full((1, 3), 1 / 3)
    return {
        f"{NAME}.c": source_of(unit),
        f"{NAME}.h": header_of(unit, {"divide_by": 255}),
        f"{NAME}_test.c": self_test_of(unit, inputs, outputs, 1e-5),
    }


@pytest.mark.parametrize("name", [f"{NAME}.c", f"{NAME}.h", f"{NAME}_test.c"])
def test_the_code_is_as_it_was(name: str) -> None:
    found, path = files()[name], GOLDEN / name
    if WRITE:
        path.write_text(found, encoding="ascii")
    assert found == path.read_text(encoding="ascii")
