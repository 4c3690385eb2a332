"""The mutants of a module: every small change of its syntax tree that makes another program.

What says something to people, or to the type checker, is left alone: docstrings, messages, what
``raise`` is given, f-strings, annotations, asserts; so are ``slots=`` and ``zip``'s ``strict=``,
which show only where something else is wrong already.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip
WORDS = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
NEGATED_BY_SWAP = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
GUARDS = {"slots", "strict"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Way = tuple[tuple[str, int | None], ...]
"""From the root of a tree to a node: fields, and places in those that are lists."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: The module, from the root of the repository.
        way: To the node that changes.
        choice: Which of that node's changes.
        line: Where the node is.
        statement: Where the statement begins that it is part of; 0 where it runs at import.
        column: Where in its line.
        before: Its code.
        after: The code instead.
    """

    path: str
    way: Way
    choice: int
    line: int
    statement: int
    column: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return f"{self.path}:{self.line}:{self.column}: {self.before} -> {self.after}"


def mutants_of(repository: Path, path: str) -> list[Mutant]:
    """All mutants of a module, in the order of its text."""
    return [
        Mutant(path, way, choice, node.lineno, statement, node.col_offset, _said(node), _said(new))
        for way, node, statement in _nodes(_tree(repository / path), (), 0)
        for choice, new in enumerate(_changes(node, way))
    ]


def mutated(repository: Path, mutant: Mutant) -> CodeType:
    """The module with the change in it, compiled."""
    source = repository / mutant.path
    tree = copy.deepcopy(_tree(source))
    parent, (field, index) = _walk(tree, mutant.way[:-1]), mutant.way[-1]
    node = _walk(tree, mutant.way)
    new = ast.fix_missing_locations(
        ast.copy_location(_changes(node, mutant.way)[mutant.choice], node)
    )
    if index is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[index] = new
    return compile(tree, str(source), "exec")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _said(node: ast.AST) -> str:
    words = " ".join(ast.unparse(node).split())
    return words if len(words) <= 90 else words[:87] + "..."


def _walk(node: ast.AST, way: Way) -> ast.AST:
    for field, index in way:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node


Found = tuple[Way, ast.expr | ast.stmt, int]


def _nodes(node: ast.AST, way: Way, statement: int, called: bool = False) -> Iterator[Found]:
    """The statements and expressions that may change, and the line of each one's statement.

    Args:
        node: Whose children these are, and their children.
        way: To it.
        statement: Where the statement around it begins; 0 where it runs at import.
        called: Whether it is inside a function's body.
    """
    for field, value in ast.iter_fields(node):
        body = called or (isinstance(node, FUNCTIONS) and field == "body")
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_left_alone(node, field, child):
                continue
            at = child.lineno if body and isinstance(child, ast.stmt) else statement
            if body and not at:
                at = getattr(child, "lineno", 0)  # of a lambda
            here = (*way, (field, index))
            if isinstance(child, ast.stmt | ast.expr):
                yield here, child, at
            yield from _nodes(child, here, at, body)


def _is_left_alone(parent: ast.AST, field: str, child: ast.AST) -> bool:
    if field in ("annotation", "returns", "exc", "cause", "ctx"):
        return True
    if isinstance(parent, ast.keyword):
        return parent.arg in GUARDS
    if isinstance(parent, ast.Call) and _said(parent.func) in ("isinstance", "cast", "TypeVar"):
        return field == "args" and child is not parent.args[0]
    if isinstance(parent, ast.Module) and isinstance(child, ast.Assign):
        return isinstance(child.value, ast.BinOp | ast.Subscript)  # a name for a type
    if isinstance(child, ast.If):
        return _said(child.test) == "TYPE_CHECKING"
    return isinstance(child, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom)


def _changes(node: ast.AST, way: Way) -> list[ast.AST]:
    """What may stand in a node's place."""
    kinds = (_operators, _constants, _words, _conditions, _statements)
    return [new for kind in kinds for new in kind(node, way)]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _operators(node: ast.AST, way: Way) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for at, kind in enumerate(map(type, node.ops)):
            yield _with(node, ops=[*node.ops[:at], OPERATORS[kind](), *node.ops[at + 1 :]])
    elif isinstance(node, ast.BoolOp | ast.AugAssign | ast.BinOp):
        if not (isinstance(node, ast.BinOp) and (_is_text(node.left) or _is_text(node.right))):
            yield _with(node, op=OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield node.operand


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _constants(node: ast.AST, way: Way) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield _with(node, value=not node.value)
        elif isinstance(node.value, int | float):
            yield _with(node, value=node.value + 1)
            yield _with(node, value=node.value - 1)


def _words(node: ast.AST, way: Way) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in WORDS:
            yield _with(node, func=_with(node.func, id=WORDS[node.func.id]))
        elif isinstance(node.func, ast.Attribute) and node.func.attr in WORDS:
            yield _with(node, func=_with(node.func, attr=WORDS[node.func.attr]))


def _conditions(node: ast.AST, way: Way) -> Iterator[ast.AST]:
    """The opposite of a condition, where no operator's swap says that already."""
    if way[-1][0] in ("test", "ifs") and not isinstance(node, ast.Constant | ast.UnaryOp):
        swap = isinstance(node, ast.Compare) and isinstance(node.ops[0], NEGATED_BY_SWAP)
        if not swap or len(node.ops) > 1:  # type: ignore[attr-defined]
            yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def _statements(node: ast.AST, way: Way) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom):
            yield ast.Pass()
    elif isinstance(node, ast.AugAssign | ast.Delete | ast.Raise):
        yield ast.Pass()
    elif isinstance(node, ast.Assign):
        if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
            yield ast.Pass()
    elif isinstance(node, ast.Return):
        if node.value and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()
