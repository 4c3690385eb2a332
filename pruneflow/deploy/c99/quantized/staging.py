"""A program with bytes between the float numbers of its input and of its output."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pruneflow.deploy.c99.layout import Layout
from pruneflow.deploy.c99.program import COPY, FRAMED_INPUT, Pass, Program
from pruneflow.deploy.graphs.graph import INPUT, Node
from pruneflow.errors import DeployError

QUANTIZE, DEQUANTIZE = "quantize", "dequantize"
"""Passes that no node of the graph stands for."""
BYTES, FLOATS = "input in bytes", "output in floats"
"""Results of such passes."""


@dataclass(frozen=True)
class Staged:
    """A program in stages.

    Attributes:
        program: Its first pass quantizes; from ``floats`` on numbers are floats.
        floats: The result that is written as floats: a linear layer's that comes last, or a
            dequantized one.
    """

    program: Program
    floats: str


def staged(program: Program) -> Staged:
    """A program of floats as one of bytes.

    Raises:
        DeployError: It has an operation that there is none for in integers.
    """
    _refuse(program)
    layouts = dict(program.layouts)
    *passes, last = program.passes
    softmax = [last] if last.node.op == "softmax" else []
    passes = passes if softmax else [*passes, last]
    given = passes[0] if passes and passes[0].output == FRAMED_INPUT else None
    if given is not None:
        quantize = replace(given, node=replace(given.node, op=QUANTIZE))
        passes, fixed = passes[1:], program.fixed
    else:
        quantize = Pass(Node(BYTES, QUANTIZE, (INPUT,)), INPUT, BYTES)
        layouts[BYTES], fixed = layouts[INPUT], program.fixed | {BYTES}
        passes = [_reading(one, {INPUT: BYTES}) for one in passes]
    end = passes[-1] if passes else quantize
    if end.node.op in (COPY, "flatten"):
        passes[-1] = end = replace(end, node=replace(end.node, op=DEQUANTIZE))
    elif end.node.op != "linear":
        layouts[FLOATS] = Layout(layouts[end.output].shape)
        end = Pass(Node(FLOATS, DEQUANTIZE, (end.output,)), end.output, FLOATS)
        passes.append(end)
    softmax = [replace(one, input=end.output) for one in softmax]
    output = softmax[0].output if softmax else end.output
    made = Program(program.graph, (quantize, *passes, *softmax), output, layouts, fixed)
    return Staged(made, end.output)


def _reading(one: Pass, names: dict[str, str]) -> Pass:
    """A pass that reads results under other names."""
    other = None if one.other is None else names.get(one.other, one.other)
    return replace(one, input=names.get(one.input, one.input), other=other)


def _refuse(program: Program) -> None:
    for node in program.graph.nodes:
        if node.op == "leaky_relu":
            raise DeployError(
                f"deploy.activations=int8: {node.name} is a leaky_relu, which is not written for "
                "integers; choose deploy.activations=fp32"
            )
        if node.op == "softmax" and node.name != program.graph.output:
            raise DeployError(
                f"deploy.activations=int8: {node.name} is a softmax before the end of the network, "
                "which is not written for integers; choose deploy.activations=fp32"
            )
