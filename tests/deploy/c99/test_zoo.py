"""The models of the zoo as C: each of them exports, and says what torch says."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pruneflow.deploy.bundles.packing import pack, unpack
from pruneflow.deploy.c99.choosing import unit_of
from pruneflow.deploy.measure.gate import reference
from pruneflow.deploy.network import of_graph
from pruneflow.deploy.tracing.trace import trace
from tests.deploy.c99.code import Library
from tests.deploy.test_zoo import agrees, trained_a_little


@pytest.mark.parametrize(
    ("name", "channels", "values", "goal"),
    [
        ("lenet_300_100", 1, "int8", "size"),
        ("lenet5", 1, "fp16", "latency"),
        ("resnet20", 3, "fp32", "latency"),
        ("resnet20", 1, "int8", "size"),
        ("mobilenet", 1, "fp32", "size"),
    ],
)
def test_a_model_is_the_same_in_c(name: str, channels: int, values: str, goal: str) -> None:
    options: dict[str, Any] = {} if name.startswith("lenet") else {"channels": channels}
    model, images = trained_a_little(name, **options), torch.randn(2, channels, 28, 28)
    traced = trace(model, images)
    network = of_graph(traced.graph, traced.tensors)
    packed = {one: pack(one, network.tensors[one], None, "rice", values) for one in network.weights}
    library = Library([unit_of("model", network, packed, goal)], "cc", "-O1")
    stored = {one: unpack(weight) for one, weight in packed.items()}
    right = reference(of_graph(traced.graph, {**traced.tensors, **stored}), images)
    assert right.judge(lambda x: library.run("model", x), 2).passed
    if values == "fp32":
        agrees(lambda x: library.run("model", x), model, channels)
