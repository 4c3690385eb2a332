"""The graph of a network: a list of operations that is plain JSON, whoever wrote it.

A Graph that exists is well formed: names are unique, every input comes earlier, options are
complete and in range, every result but the last is read, and the last one is the output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from pruneflow.deploy.bundles.damage import Damage, expect, quoted, within
from pruneflow.deploy.graphs.ops import OPS, Shape, Value
from pruneflow.errors import did_you_mean

INPUT = "input"
"""The name of the network's input."""

MOST_NODES = 10_000
MOST_ELEMENTS = 2**28
"""Of the results of all nodes together, for one sample: 1 GiB in float32."""

NODE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
MOST_DIMS = 8
MOST_LETTERS = 500  # of a tensor's name


@dataclass(frozen=True)
class Node:
    """One operation in its place.

    Attributes:
        name: Letters, digits, ``_``, ``.`` and ``-``; also the name of its result.
        op: A key of OPS.
        inputs: Names of earlier nodes, or INPUT.
        weight: Name of its weight, (out, in) or (out, in / groups, height, width); or None.
        bias: Name of its bias (out,), or None.
        options: All options of the operation.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    weight: str | None = None
    bias: str | None = None
    options: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        input_shape: Of one sample, without the batch.
        nodes: In an order in which they can run.
        output: The name of the last node.

    Raises:
        BundleError: It is not well formed.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    output: str

    def __post_init__(self) -> None:
        with within("graph"):
            _check_sizes(self.input_shape)
            expect(1 <= len(self.nodes) <= MOST_NODES, f"it has {len(self.nodes)} nodes")
            known = {INPUT}
            unread: set[str] = set()
            for node in self.nodes:
                with within(node.name):
                    _check(node, known)
                known.add(node.name)
                unread.difference_update(node.inputs)
                unread.add(node.name)
            expect(self.output in unread, f"'{quoted(self.output)}' is not the last node")
            expect(len(unread) == 1, f"no node reads '{min(unread - {self.output}, default='')}'")

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON: ``{"input_shape", "nodes", "output"}``."""
        return {
            "input_shape": list(self.input_shape),
            "nodes": [_node_to_json(node) for node in self.nodes],
            "output": self.output,
        }

    @classmethod
    def from_json(cls, value: object) -> Graph:
        """The graph that ``to_json`` wrote, from a file that nobody vouches for.

        Raises:
            BundleError: It is anything else.
        """
        with within("graph"):
            tree = _object(value, {"input_shape", "nodes", "output"}, set())
            sizes, nodes = _list(tree["input_shape"], MOST_DIMS), _list(tree["nodes"], MOST_NODES)
            read = tuple(_node_from_json(i, node) for i, node in enumerate(nodes))
            output = _name(tree["output"])
        return cls(tuple(sizes), read, output)

    def shapes(self, tensor_shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """The shape of every result, and of INPUT, for one sample.

        Args:
            tensor_shapes: Of weights and biases, by name; further ones do not matter.

        Raises:
            BundleError: A tensor is missing, something does not fit, or results are too large.
        """
        found = {INPUT: self.input_shape}
        room = MOST_ELEMENTS - prod(self.input_shape)
        with within("graph"):
            for node in self.nodes:
                with within(f"{node.name} ({node.op})"):
                    weight = _weight_shape(node, tensor_shapes)
                    inputs = [found[name] for name in node.inputs]
                    shape = OPS[node.op].shape(*inputs, *weight, **node.options)
                    room -= prod(shape)
                    expect(room >= 0, f"results so far have more than {MOST_ELEMENTS} numbers")
                    found[node.name] = shape
        return found

    def flops(self, tensor_shapes: Mapping[str, Shape]) -> dict[str, int]:
        """Dense floating-point operations of every node with a weight, for one sample.

        A multiplication and its addition count as two; biases do not count.
        """
        shapes = self.shapes(tensor_shapes)
        return {
            node.name: 2 * prod(tensor_shapes[node.weight]) * prod(shapes[node.name][1:])
            for node in self.nodes
            if node.weight is not None
        }

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read a result."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def tensor_names(self) -> list[str]:
        """Names of all weights and biases, each once, in the order of their first use."""
        names = [name for node in self.nodes for name in (node.weight, node.bias)]
        return list(dict.fromkeys(name for name in names if name is not None))


def _check_sizes(shape: Shape) -> None:
    sizes = all(type(size) is int and 1 <= size <= MOST_ELEMENTS for size in shape)
    expect(1 <= len(shape) <= MOST_DIMS and sizes, "input_shape does not hold sizes")
    expect(prod(shape) <= MOST_ELEMENTS, f"the input has more than {MOST_ELEMENTS} numbers")


def _check(node: Node, known: set[str]) -> None:
    """Expect a node to be right by itself and among the names before it."""
    expect(bool(NODE_NAME.fullmatch(node.name)), "this is no name of a node")
    expect(node.name not in known, "the name is taken")
    if node.op not in OPS:
        hint = did_you_mean(node.op, OPS, always=True)
        raise Damage(f"there is no operation '{quoted(node.op)}'.{hint}")
    op = OPS[node.op]
    expect(len(node.inputs) == op.inputs, f"{node.op} has {op.inputs} inputs")
    for name in node.inputs:
        expect(name in known, f"its input '{quoted(name)}' is no earlier node")
    if op.weight_dims:
        expect(node.weight is not None, f"{node.op} needs a weight")
    else:
        expect(node.weight is None and node.bias is None, f"{node.op} has no weight and no bias")
    listed = ", ".join(op.options) or "none"
    expect(node.options.keys() == op.options.keys(), f"the options of {node.op} are: {listed}")
    for key, option in op.options.items():
        expect(option.allows(node.options[key]), f"{key} has to be {option.wanted}")


def _weight_shape(node: Node, tensor_shapes: Mapping[str, Shape]) -> list[Shape]:
    """The weight's shape as arguments of a shape rule: one, or none."""
    if node.weight is None:
        return []
    for name in (node.weight, node.bias):
        expect(name is None or name in tensor_shapes, f"there is no tensor '{quoted(name)}'")
    shape = tuple(tensor_shapes[node.weight])
    fits = len(shape) == OPS[node.op].weight_dims and min(shape) >= 1
    expect(fits, f"'{quoted(node.weight)}' cannot be its weight: it is {shape}")
    if node.bias is not None:
        bias = tuple(tensor_shapes[node.bias])
        expect(bias == shape[:1], f"'{quoted(node.bias)}' is {bias}, not {shape[:1]}")
    return [shape]


def _node_to_json(node: Node) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": node.name, "op": node.op, "inputs": list(node.inputs)}
    tree |= {} if node.weight is None else {"weight": node.weight}
    tree |= {} if node.bias is None else {"bias": node.bias}
    return tree | ({"options": dict(node.options)} if node.options else {})


def _node_from_json(index: int, value: object) -> Node:
    with within(f"nodes[{index}]"):
        tree = _object(value, {"name", "op", "inputs"}, {"weight", "bias", "options"})
        return Node(
            name=_name(tree["name"]),
            op=_name(tree["op"]),
            inputs=tuple(_name(name) for name in _list(tree["inputs"], 2)),
            weight=_name(tree["weight"]) if "weight" in tree else None,
            bias=_name(tree["bias"]) if "bias" in tree else None,
            options=dict(_object(tree.get("options", {}), set())),
        )


def _object(value: object, needed: set[str], more: set[str] | None = None) -> dict[str, Any]:
    """A JSON object with the needed keys and perhaps some of ``more``; None: any further ones."""
    if not isinstance(value, dict):
        raise Damage("there is no object where one has to be")
    missing = sorted(needed - value.keys())
    expect(not missing, f"it has no {', '.join(missing)}")
    if more is not None:
        unknown = sorted(value.keys() - needed - more, key=str)
        expect(not unknown, f"it has unknown keys: {quoted(', '.join(map(str, unknown[:5])))}")
    return value


def _list(value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise Damage(f"there is no list of at most {most} entries where one has to be")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_LETTERS:
        raise Damage(f"there is no name of 1 to {MOST_LETTERS} letters where one has to be")
    return value
