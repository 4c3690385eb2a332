"""From a module to the graph and tensors that do the same in evaluation mode."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, TensorArgument

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.tracing.aten import BATCH_NORM, RULES
from pruneflow.deploy.tracing.calls import Call, RefusedCallError, Step, UnsupportedGraphError
from pruneflow.deploy.tracing.exporting import export
from pruneflow.deploy.tracing.folding import Norm, fold
from pruneflow.deploy.tracing.naming import first_names_of, fresh, module_path, node_name
from pruneflow.errors import BundleError


@dataclass(frozen=True)
class Traced:
    """A network without its Python.

    Attributes:
        graph: Its operations.
        tensors: Its weights and biases, float32 on the CPU, under their names in ``state_dict``.
    """

    graph: Graph
    tensors: dict[str, torch.Tensor]


def trace(module: nn.Module, example: torch.Tensor) -> Traced:
    """Find the graph of a network as it runs in evaluation mode.

    Batch normalization is folded. Whatever does not depend on the input (masks of
    ``torch.nn.utils.prune``, parametrizations) is computed now.

    Args:
        module: Left exactly as it was.
        example: A batch of inputs (n, ...) of the module's dtype, on its device.

    Raises:
        UnsupportedGraphError: The network does something that is no operation of a graph.
        DeployError: The example is no batch of inputs, or weights have no values yet.
    """
    with torch.inference_mode(False), torch.no_grad():
        return _traced(getattr(module, "_orig_mod", module), example)  # what torch.compile wrapped


def _traced(module: nn.Module, example: torch.Tensor) -> Traced:
    program = export(module, example)
    walk = _Walk(module, program)
    nodes, output = fold(walk.nodes, walk.output, walk.norms, walk.tensors)
    if output == INPUT:
        raise UnsupportedGraphError("the network returns its input")
    try:
        graph = Graph(tuple(example.shape[1:]), tuple(nodes), output)
        graph.shapes({name: tuple(tensor.shape) for name, tensor in walk.tensors.items()})
    except BundleError as error:
        raise UnsupportedGraphError(f"the network's {error}") from error
    tensors = {name: _stored(walk.tensors[name]) for name in graph.tensor_names()}
    return Traced(graph, tensors)


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


class _Walk:
    """One walk over an exported program, call by call.

    Attributes:
        nodes: What was found, with batch normalizations still among them.
        output: The name of the network's output.
        norms: The batch normalizations, by the names of their nodes.
        tensors: Weights and biases by name.
    """

    def __init__(self, module: nn.Module, program: ExportedProgram) -> None:
        self.module = module
        self.nodes: list[Node] = []
        self.norms: dict[str, Norm] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self._activations: dict[fx.Node, str] = {}
        self._constants: dict[fx.Node, Any] = {}
        self._names: dict[int, str] = {}
        self._taken = {INPUT}
        end = _output(program)
        live = _needed(end)
        self._read_inputs(program, live)
        for call in program.graph.nodes:
            if call.op == "call_function" and call in live:
                self._visit(call)
        if end not in self._activations:
            raise UnsupportedGraphError("the network's output does not depend on its input")
        self.output = self._activations[end]

    def _read_inputs(self, program: ExportedProgram, live: set[fx.Node]) -> None:
        first_names = first_names_of(self.module)
        changed = set(program.graph_signature.buffers_to_mutate.values())
        places = [node for node in program.graph.nodes if node.op == "placeholder"]
        for place, spec in zip(places, program.graph_signature.input_specs, strict=True):
            if spec.kind == InputKind.USER_INPUT:
                self._activations[place] = INPUT
            elif place in live:
                assert spec.target is not None
                if spec.target in changed:
                    raise UnsupportedGraphError(
                        f"the network changes '{spec.target}' while it runs"
                    )
                held = program.state_dict.get(spec.target)
                tensor = program.constants[spec.target] if held is None else held
                self._constants[place] = tensor
                self._names[id(tensor)] = first_names.get(spec.target, spec.target)

    def _visit(self, call: fx.Node) -> None:
        path = module_path(call)
        try:
            if not any(node in self._activations for node in call.all_input_nodes):
                self._constants[call] = self._computed(call)
            elif call.target is operator.getitem:
                if call.args[1] != 0:
                    raise RefusedCallError("only its first result is known")
                self._activations[call] = self._activations[call.all_input_nodes[0]]
            else:
                self._add(call, path)
        except RefusedCallError as refusal:
            place = f"at '{path}'" if path else "in the network's forward"
            raise UnsupportedGraphError(f"{_title(call)} {place}: {refusal}") from None

    def _computed(self, call: fx.Node) -> Any:
        """The result of a call that does not depend on the network's input."""
        target = call.target
        if not callable(target):
            raise RefusedCallError("it is no function")
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise RefusedCallError("it draws random numbers")
        args = fx.map_arg(call.args, self._constants.__getitem__)
        return target(*args, **fx.map_arg(call.kwargs, self._constants.__getitem__))

    def _add(self, call: fx.Node, path: str) -> None:
        """Append the nodes of a call that depends on the network's input."""
        rule = RULES.get(_schema_name(call))
        if rule is None:
            raise RefusedCallError("it is not among the operations that a graph holds")
        given = _bound(call)
        arguments = fx.map_arg(given, self._seen)
        inputs = [
            self._activations[value]
            for value in given.values()
            if isinstance(value, fx.Node) and value in self._activations
        ]
        for step in rule(Call(arguments, _meta(call))):
            inputs = [self._append(step, tuple(inputs), path)]
        self._activations[call] = inputs[0]

    def _seen(self, node: fx.Node) -> Any:
        return self._constants[node] if node in self._constants else _meta(node)

    def _append(self, step: Step, inputs: tuple[str, ...], path: str) -> str:
        weight, bias = step.tensors.get("weight"), step.tensors.get("bias")
        held = "" if weight is None else self._names.get(id(weight), "")
        name = fresh(node_name(path, self.module, step.op, held), self._taken)
        self._taken.add(name)
        if step.op == BATCH_NORM:
            eps = step.options["eps"]
            assert isinstance(eps, float)
            self.norms[name] = Norm.of(step.tensors, eps)
            self.nodes.append(Node(name, BATCH_NORM, inputs))
            return name
        names = self._name(weight, f"{name}.weight"), self._name(bias, f"{name}.bias")
        self.nodes.append(Node(name, step.op, inputs, *names, options=step.options))
        return name

    def _name(self, tensor: torch.Tensor | None, wanted: str) -> str | None:
        """The name of a weight or bias, which is kept under it."""
        if tensor is None:
            return None
        name = self._names.setdefault(id(tensor), fresh(wanted, self.tensors))
        self.tensors[name] = tensor
        return name


def _output(program: ExportedProgram) -> fx.Node:
    """The node whose value the network returns."""
    specs = program.graph_signature.output_specs
    returned = program.graph.output_node().args[0]
    assert isinstance(returned, tuple | list)
    ends = [
        value
        for value, spec in zip(returned, specs, strict=True)
        if spec.kind == OutputKind.USER_OUTPUT and isinstance(spec.arg, TensorArgument)
    ]
    tree = program.call_spec.out_spec
    if len(ends) != 1 or tree is None or not tree.is_leaf() or not isinstance(ends[0], fx.Node):
        raise UnsupportedGraphError("the network does not return one tensor")
    return ends[0]


def _needed(end: fx.Node) -> set[fx.Node]:
    """The nodes on which a value depends, and its own."""
    needed, waiting = {end}, [end]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in needed:
                needed.add(node)
                waiting.append(node)
    return needed


def _schema_name(call: fx.Node) -> str:
    return call.target._schema.name if isinstance(call.target, torch._ops.OpOverload) else ""


def _title(call: fx.Node) -> str:
    """The operation as people know it, e.g. ``aten.softmax``."""
    return _schema_name(call).replace("::", ".") or str(call.target)


def _bound(call: fx.Node) -> dict[str, Any]:
    """All arguments by the names of the schema, defaults too."""
    assert isinstance(call.target, torch._ops.OpOverload)
    bound: dict[str, Any] = {}
    for index, argument in enumerate(call.target._schema.arguments):
        if index < len(call.args):
            bound[argument.name] = call.args[index]
        elif argument.name in call.kwargs or argument.has_default_value():
            bound[argument.name] = call.kwargs.get(argument.name, argument.default_value)
    return bound


def _meta(node: fx.Node) -> torch.Tensor:
    """A value's shape and dtype as a tensor without content; of several results, the first's."""
    value = node.meta["val"]
    first: torch.Tensor = value[0] if isinstance(value, tuple | list) else value
    return torch.empty(first.shape, dtype=first.dtype, device="meta")
