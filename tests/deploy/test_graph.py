"""The graph: JSON and back, shapes as torch has them, and no stranger's file gets through."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import OPS
from pruneflow.errors import BundleError
from tests.deploy.networks import Network, networks

PLAIN = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
POOL = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": False}

TREE: dict[str, Any] = {
    "input_shape": [2, 6, 6],
    "nodes": [
        {"name": "c", "op": "conv2d", "inputs": ["input"], "weight": "c.w", "bias": "c.b",
         "options": {**PLAIN, "padding": [1, 1]}},
        {"name": "s", "op": "add", "inputs": ["c", "input"]},
        {"name": "l", "op": "leaky_relu", "inputs": ["s"], "options": {"slope": 0.5}},
        {"name": "p", "op": "max_pool2d", "inputs": ["l"], "options": {**POOL, "dilation": [1, 1]}},
        {"name": "f", "op": "flatten", "inputs": ["p"]},
        {"name": "fc", "op": "linear", "inputs": ["f"], "weight": "fc.w"},
    ],
    "output": "fc",
}  # fmt: skip
SHAPES = {"c.w": (2, 2, 3, 3), "c.b": (2,), "fc.w": (5, 18)}

# -- laws ----------------------------------------------------------------------------------


@given(networks())
def test_json_and_back(network: Network) -> None:
    text = json.dumps(network.graph.to_json(), allow_nan=False)
    assert Graph.from_json(json.loads(text)) == network.graph


@given(networks())
@settings(max_examples=150)
def test_every_result_has_the_shape_foretold(network: Network) -> None:
    graph, tensors = network.graph, network.tensors
    shapes = graph.shapes(network.shapes())
    assert list(shapes) == [INPUT, *(node.name for node in graph.nodes)]
    results = {INPUT: network.inputs(2)}
    for node in graph.nodes:
        parameters = [tensors.get(node.weight), tensors.get(node.bias or "")] if node.weight else []
        inputs = [results[name] for name in node.inputs]
        results[node.name] = OPS[node.op].run(*inputs, *parameters, **node.options)
    assert {name: tuple(result.shape[1:]) for name, result in results.items()} == shapes
    assert torch.equal(results[graph.output], GraphModule(graph, tensors)(results[INPUT]))


NUMBERS = st.sampled_from([0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5])
SIDES = st.tuples(NUMBERS, NUMBERS).map(list)
PADDING = st.tuples(*[st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 3])] * 2).map(list)


@given(
    st.sampled_from(["conv2d", "max_pool2d", "avg_pool2d"]), SIDES, SIDES, PADDING, SIDES, st.data()
)
@settings(max_examples=600)
def test_windows_that_torch_refuses_are_refused(
    op: str,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    data: st.DataObject,
) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    ceil = data.draw(st.booleans())
    x, w = torch.randn(1, 4, height, width), torch.randn(2, 2, *kernel)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    if op == "conv2d":
        options["groups"] = data.draw(st.sampled_from([2, 2, 2, 1, 3]))
        tensors = {"w": w}
    else:
        options |= {"kernel": kernel, "ceil_mode": ceil}
        tensors = {}
    if op == "avg_pool2d":
        options["count_include_pad"] = data.draw(st.booleans())
        del options["dilation"]
    run = OPS[op].run
    try:
        expected = tuple(run(x, *([w, None] if tensors else []), **options).shape[1:])
    except (RuntimeError, ValueError):
        expected = None
    if op == "max_pool2d" and any(
        p and d > s for p, d, s in zip(padding, dilation, (height, width), strict=True)
    ):
        expected = None  # a window of nothing but padding: minus infinity in torch
    try:
        node = Node("n", op, (INPUT,), "w" if tensors else None, options=options)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        found = Graph((4, height, width), (node,), "n").shapes(shapes)["n"]
    except BundleError:
        found = None
    assert found == expected


def test_flops_of_the_literature() -> None:
    nodes = [Node("flatten", "flatten", (INPUT,))]
    for name in ("fc1", "fc2", "fc3"):
        nodes.append(Node(name, "linear", (nodes[-1].name,), f"{name}.w", f"{name}.b"))
    graph = Graph((1, 28, 28), tuple(nodes), "fc3")
    shapes = {"fc1.w": (300, 784), "fc1.b": (300,), "fc2.w": (100, 300), "fc2.b": (100,)}
    shapes |= {"fc3.w": (10, 100), "fc3.b": (10,)}
    flops = graph.flops(shapes)
    assert flops == {"fc1": 470_400, "fc2": 60_000, "fc3": 2_000}
    assert Graph.from_json(TREE).flops(SHAPES) == {"c": 2 * 36 * 36, "fc": 180}


def test_flops_with_groups_and_consumers() -> None:
    node = Node("c", "conv2d", (INPUT,), "w", options={**PLAIN, "groups": 4, "stride": [2, 2]})
    graph = Graph((4, 9, 9), (node, Node("a", "add", ("c", "c"))), "a")
    assert graph.flops({"w": (8, 1, 3, 3)}) == {"c": 2 * (4 * 4 * 8) * 9}
    assert [node.name for node in graph.consumers("c")] == ["a"]
    assert [node.name for node in graph.consumers(INPUT)] == ["c"]
    assert graph.consumers("a") == ()
    assert graph.tensor_names() == ["w"]


# -- strangers' files ----------------------------------------------------------------------

Change = Callable[[Any], object]


def _node(index: int, **changes: object) -> Change:
    return lambda tree: tree["nodes"][index].update(changes)


BROKEN: dict[str, tuple[Change, str]] = {
    "no output": (lambda t: t.pop("output"), "it has no output"),
    "more keys": (lambda t: t.update(version=1), "unknown keys: version"),
    "no nodes": (lambda t: t.update(nodes=[]), "it has 0 nodes"),
    "too many": (lambda t: t.update(nodes=t["nodes"] * 2000), "at most 10000"),
    "nodes no list": (lambda t: t.update(nodes={}), "no list"),
    "a node no object": (lambda t: t["nodes"].append(3), r"nodes\[6\]: there is no object"),
    "unknown key": (_node(0, code="x"), r"nodes\[0\]: it has unknown keys: code"),
    "a name twice": (_node(1, name="c"), "c: the name is taken"),
    "the name of the input": (_node(1, name="input"), "input: the name is taken"),
    "a name with a newline": (_node(0, name="c\n"), "no name of a node"),
    "code as a name": (_node(0, name='c"; system("'), "no name of a node"),
    "a long name": (_node(0, name="c" * 501), "1 to 500 letters"),
    "unknown operation": (_node(4, op="flaten"), "no operation 'flaten'. Did you mean 'flatten'"),
    "later input": (_node(0, inputs=["s"]), "'s' is no earlier node"),
    "itself": (_node(2, inputs=["l"]), "'l' is no earlier node"),
    "inputs no list": (_node(0, inputs="input"), "no list"),
    "one input too few": (_node(1, inputs=["c"]), "add has 2 inputs"),
    "one input too many": (_node(2, inputs=["c", "s"]), "leaky_relu has 1 inputs"),
    "no weight": (lambda t: t["nodes"][0].pop("weight"), "conv2d needs a weight"),
    "a weight too many": (_node(4, weight="fc.w"), "flatten has no weight"),
    "a bias too many": (_node(1, bias="c.b"), "add has no weight and no bias"),
    "weight of another type": (_node(0, weight=3), "no name"),
    "an option too few": (
        lambda t: t["nodes"][0]["options"].pop("groups"),
        "the options of conv2d",
    ),
    "an option too many": (_node(4, options={"start": 1}), "the options of flatten are: none"),
    "a negative stride": (
        _node(0, options={**PLAIN, "stride": [1, -1]}),
        "stride has to be a list",
    ),
    "stride zero": (_node(0, options={**PLAIN, "stride": [0, 1]}), "stride has to be a list"),
    "true for one": (
        _node(0, options={**PLAIN, "groups": True}),
        "groups has to be a whole number",
    ),
    "huge groups": (_node(0, options={**PLAIN, "groups": 10**6000}), "groups has to be"),
    "float stride": (_node(0, options={**PLAIN, "stride": [1.0, 1.0]}), "stride has to be"),
    "one for true": (
        _node(3, options={**POOL, "dilation": [1, 1], "ceil_mode": 1}),
        "true or false",
    ),
    "NaN": (_node(2, options={"slope": float("nan")}), "slope has to be a finite number"),
    "infinity": (_node(2, options={"slope": float("inf")}), "slope has to be a finite number"),
    "no float32": (_node(2, options={"slope": -1e39}), "has to be a finite number in float32"),
    "huge slope": (_node(2, options={"slope": 10**400}), "slope has to be a finite number"),
    "slope as text": (_node(2, options={"slope": "0.1"}), "slope has to be a finite number"),
    "the output earlier": (lambda t: t.update(output="f"), "'f' is not the last node"),
    "the output unknown": (lambda t: t.update(output="x"), "'x' is not the last node"),
    "the output the input": (lambda t: t.update(output="input"), "'input' is not the last node"),
    "unread": (_node(4, inputs=["l"]), "no node reads 'p'"),
    "no shape": (lambda t: t.update(input_shape=[]), "input_shape"),
    "shape of zero": (lambda t: t.update(input_shape=[2, 0, 6]), "input_shape"),
    "shape of text": (lambda t: t.update(input_shape=["2"]), "input_shape"),
    "shape of truth": (lambda t: t.update(input_shape=[True]), "input_shape"),
    "huge shape": (lambda t: t.update(input_shape=[10**9000]), "input_shape"),
    "huge product": (lambda t: t.update(input_shape=[2**20] * 3), "more than"),
    "nine dimensions": (lambda t: t.update(input_shape=[1] * 9), "at most 8"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_every_fault_is_named(case: str) -> None:
    change, message = BROKEN[case]
    tree = copy.deepcopy(TREE)
    change(tree)
    with pytest.raises(BundleError, match=message) as raised:
        Graph.from_json(tree)
    assert str(raised.value).startswith("graph: ")
    assert len(str(raised.value)) < 400


def test_the_tree_that_is_broken_above_is_right() -> None:
    graph = Graph.from_json(copy.deepcopy(TREE))
    assert graph.to_json() == TREE
    assert graph.shapes(SHAPES)["fc"] == (5,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c.w": None}, "there is no tensor 'c.w'"),
        ({"c.b": None}, "there is no tensor 'c.b'"),
        ({"c.w": (2, 2, 3)}, "'c.w' cannot be its weight"),
        ({"c.w": (0, 2, 3, 3)}, "'c.w' cannot be its weight"),
        ({"c.w": (2, 3, 3, 3)}, "does not fit 2 channels"),
        ({"c.w": (2, 2, 9, 3)}, "a kernel of 9 with dilation 1 does not fit 6 with padding 1"),
        ({"c.w": (3, 2, 3, 3), "c.b": (3,)}, r"\(3, 6, 6\) and \(2, 6, 6\) cannot be added"),
        ({"c.b": (3,)}, r"'c.b' is \(3,\), not \(2,\)"),
        ({"fc.w": (5, 19)}, r"takes \(19,\), but the input is \(18,\)"),
        ({"fc.w": (2**28, 18)}, "results so far have more than"),
    ],
)
def test_tensors_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    shapes = {name: shape for name, shape in (SHAPES | change).items() if shape is not None}
    with pytest.raises(BundleError, match=message):
        Graph.from_json(TREE).shapes(shapes)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 1, 1), (2, 3)])
def test_a_softmax_goes_along_the_features_of_a_vector(shape: tuple[int, ...]) -> None:
    node = Node("shares", "softmax", (INPUT,))
    with pytest.raises(BundleError, match=r"shares \(softmax\): the input has to be \(features,\)"):
        Graph(shape, (node,), "shares").shapes({})


def test_many_large_results_are_refused_together() -> None:
    nodes = tuple(Node(f"r{i}", "relu", (f"r{i - 1}" if i else INPUT,)) for i in range(300))
    Graph((2**19,), nodes, "r299").shapes({})
    with pytest.raises(BundleError, match="results so far"):
        Graph((2**20,), nodes, "r299").shapes({})


ATOMS = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers()
TELLING = st.sampled_from([0, -1, 2**31, 2**63, 10**30, "input", "c", "fc", "linear", "relu"])
JUNK = st.recursive(
    ATOMS | TELLING,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(JUNK)
@settings(max_examples=200)
def test_junk_is_no_graph(value: object) -> None:
    with pytest.raises(BundleError):
        Graph.from_json(value)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key inside a tree."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        return [(value, key) for key in keys] + [p for key in keys for p in _places(value[key])]
    return []


@given(st.data())
@settings(max_examples=1000)
def test_a_changed_graph_is_refused_or_whole(data: st.DataObject) -> None:
    tree = copy.deepcopy(TREE)
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(tree)
        container, key = data.draw(st.sampled_from(places))
        change = data.draw(st.sampled_from(["replace", "remove", "copy", "number"]))
        if change == "remove":
            del container[key]
        elif change == "copy":
            other, where = data.draw(st.sampled_from(places))
            container[key] = copy.deepcopy(other[where])
        else:
            container[key] = data.draw(JUNK if change == "replace" else st.integers(-1, 9))
    try:
        graph = Graph.from_json(tree)
        assert Graph.from_json(graph.to_json()) == graph
        shapes = graph.shapes(SHAPES)
    except BundleError:
        return
    if sum(torch.Size(shape).numel() for shape in shapes.values()) < 10**6:
        tensors = {name: torch.randn(shape) for name, shape in SHAPES.items()}
        result = GraphModule(graph, tensors)(torch.randn(2, *graph.input_shape))
        assert tuple(result.shape) == (2, *shapes[graph.output])
