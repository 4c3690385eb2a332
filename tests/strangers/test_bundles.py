"""Bundles of strangers: no text of theirs becomes code, and no graph takes more than it may."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.deploy import loading as deploy
from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.bundles.packing import pack
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.errors import PruneFlowError
from tests.deploy.c99.code import Case, write
from tests.deploy.networks import Network
from tests.strangers.canary import is_alive, sparse

EVIL = """w"),__import__("os").system("touch canary"),("*/ system("touch canary"); /*"""
"""A tensor's name that would be code where it is put into some unquoted."""

NODE = {"name": "fc", "op": "linear", "inputs": ["input"], "weight": EVIL}
GRAPH: dict[str, Any] = {"input_shape": [3], "nodes": [NODE], "output": "fc"}


def sent(graph: dict[str, Any] | None = None, **more: Any) -> Path:
    """A bundle in which a stranger has chosen everything; signed, so that it is read."""
    is_conv = (graph or GRAPH)["nodes"][0]["op"] == "conv2d"
    weight = pack("w", torch.ones((2, 1, 3, 3) if is_conv else (2, 3)), None, "bitmask", "fp32")
    bundle.write(Path("b.safetensors"), {EVIL: weight}, graph or GRAPH, **more)
    return Path("b.safetensors")


def test_names_in_a_bundle_are_no_code() -> None:
    loaded = deploy.load(sent())
    assert torch.equal(loaded(torch.ones(1, 3)), torch.full((1, 2), 3.0))
    assert is_alive()


def test_no_name_of_a_bundle_reaches_what_torch_makes_code_of() -> None:
    module = GraphModule(Graph.from_json(GRAPH), {EVIL: torch.ones(2, 3)})
    assert [name for name, _ in module.named_parameters()] == ["tensor_0"]


def test_no_name_of_a_bundle_reaches_c_code() -> None:
    case = Case(Network(Graph.from_json(GRAPH), {EVIL: torch.ones(2, 3)}), "dense")
    write(case.unit("net"), Path("net"))
    text = "".join(path.read_text() for path in Path("net").iterdir())
    assert "float" in text
    assert "system" not in text


@pytest.mark.parametrize(
    "name", ["a b", 'a"b', "a\nb", "a;b", "*/", "${x}", "a/b", "\x1b[2J", "é", "a" * 201, ""]
)
def test_a_node_is_called_by_a_plain_word(name: str) -> None:
    graph = {**GRAPH, "nodes": [{**NODE, "name": name}], "output": name}
    with pytest.raises(PruneFlowError) as told:
        deploy.load(sent(graph))
    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    "choice",
    [
        {"backend": "os.system"}, {"cells": [{"threads": 1, "batch": 1, "backend": "evil"}]},
        {"asked": "__import__('os')"}, {"device": 3}, {"place": "/etc"}, {"cells": "x"},
        {"tuned": {"k": {"BLOCK": "__import__('os')"}}}, {"place": {"device": "cuda; rm"}},
        {"input_shape": [2**28, 2**28]},
    ],
)  # fmt: skip
def test_a_bundle_chooses_among_known_words(choice: dict[str, Any]) -> None:
    with pytest.raises(PruneFlowError):
        deploy.load(sent(choice=choice))
    assert is_alive()


def conv(**options: Any) -> dict[str, Any]:
    same = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    node = {"name": "c", "op": "conv2d", "inputs": ["input"], "weight": EVIL}
    return {
        "input_shape": [1, 8, 8],
        "output": "c",
        "nodes": [{**node, "options": {**same, **options}}],
    }


def widening(count: int) -> dict[str, Any]:
    """Each node adds the one before to itself."""
    nodes: list[dict[str, Any]] = [{"name": "n0", "op": "relu", "inputs": ["input"]}]
    for i in range(1, count):
        nodes.append({"name": f"n{i}", "op": "add", "inputs": [f"n{i - 1}", f"n{i - 1}"]})
    return {"input_shape": [2**24], "nodes": nodes, "output": f"n{count - 1}"}


BIG: dict[str, dict[str, Any]] = {
    "input": {**GRAPH, "input_shape": [2**40]},
    "inputs": {**GRAPH, "input_shape": [2**20, 2**20]},
    "sides": {**GRAPH, "input_shape": [1] * 1000},
    "padding": conv(padding=[2**27, 2**27]),
    "padded": conv(padding=[60_000, 60_000]),
    "stride": conv(stride=[0, 0]),
    "negative": conv(padding=[-5, -5]),
    "dilation": conv(dilation=[2**62, 2**62]),
    "results": widening(100),
    "nodes": {**widening(10_001), "input_shape": [1]},
    "number": {**GRAPH, "input_shape": [10**400]},
}


@pytest.mark.parametrize("kind", list(BIG))
def test_a_graph_takes_no_more_than_it_may(kind: str) -> None:
    path = sent(BIG[kind])
    began = time.process_time()
    with pytest.raises(PruneFlowError) as told:
        deploy.load(path)
    assert time.process_time() - began < 3
    assert len(str(told.value)) < 1000


FILES: dict[str, Callable[[Path], object]] = {
    "sparse": sparse,
    "pipe": os.mkfifo,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "header": lambda path: path.write_bytes((2**40).to_bytes(8, "little") + b"{}"),
    "deep": lambda path: path.write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5),
}


@pytest.mark.parametrize("kind", list(FILES))
def test_no_bundle_is_read_without_end(kind: str) -> None:
    FILES[kind](Path("b.safetensors"))
    began = time.process_time()
    with pytest.raises(PruneFlowError):
        deploy.load(Path("b.safetensors"))
    assert time.process_time() - began < 3
