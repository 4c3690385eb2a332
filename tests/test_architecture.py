"""The house: floors, what may be imported where, what must never be called, how long a file is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pruneflow

PACKAGE = Path(pruneflow.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 260

FLOORS = {
    "errors": 0, "registry": 0, "timeline": 0, "schedules": 0, "runfolder": 0, "holding": 0,
    "environment": 0, "untrusted": 0,
    "user_code": 0,
    "pruning": 1, "structure": 1, "zoo": 1, "plain_yaml": 1, "tensor_file": 1,
    "weights_file": 1, "module_tensors": 1,
    "state": 2, "optimizer_memory": 2, "snapshots": 2, "network": 2, "averaged": 2,
    "operations": 2,
    "modifiers": 3,
    "recipe": 4,
    "engine": 5, "keeping": 5, "lending": 5, "loss_terms": 5,
    "namespaces": 6, "accumulation": 6, "calibration_data": 6, "lightning_calibration": 6,
    "loop": 6, "lightning_trainer": 6, "mask_statistics": 6, "callback": 6,
    "private_generators": 6, "exact_resume": 6, "obstacles": 6, "checkpoint": 6,
    "training": 7, "report": 7, "deploy": 7, "sweep": 8,
    "cli": 9, "__main__": 10,
}  # fmt: skip

LIGHTNING = {"pytorch_lightning", "lightning", "lightning_fabric"}
MAY_IMPORT_LIGHTNING = {
    "lightning_trainer", "lightning_calibration", "callback", "private_generators", "exact_resume",
    "obstacles", "checkpoint", "zoo", "training",
}  # fmt: skip

Import = tuple[str, bool]
"""What is imported, by its full name, and whether that happens when the module is loaded."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    """The folder or file directly in ``pruneflow/``: ``pruneflow.recipe.plan`` is in ``recipe``."""
    return [*module.split("."), ""][1]


NAMES = {name_of(path) for path in MODULES}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_in(node: ast.AST, module: str, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}: relative import"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in NAMES else str(child.module)), at_load
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports_in(child, module, at_load and not is_function)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    return tuple(imports_in(tree_of(path), name_of(path), True))


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_every_module_has_a_floor(path: Path) -> None:
    assert room_of(name_of(path)) in {*FLOORS, ""}


@each_module
def test_imports_go_down_only(path: Path) -> None:
    here = room_of(name_of(path))
    if not here:
        return  # the package itself hands out names of every floor, when they are first used
    for imported, _ in imports_of(path):
        if imported.split(".")[0] == "pruneflow" and (room := room_of(imported)):
            assert room == here or FLOORS[room] <= FLOORS[here], f"{here} imports {imported}"


@pytest.mark.parametrize("room", ["pruning", "structure", "zoo"])
def test_the_first_floor_stands_on_the_ground_alone(room: str) -> None:
    for path in MODULES:
        if room_of(name_of(path)) == room:
            ours = {name for name, _ in imports_of(path) if name.startswith("pruneflow.")}
            assert all(room_of(name) == room or FLOORS[room_of(name)] == 0 for name in ours)


@pytest.mark.parametrize("wing", ["report", "deploy"])
def test_the_wings_meet_in_the_run_folder_only(wing: str) -> None:
    closed = {"modifiers", "engine", "network", "callback", "training", "checkpoint"}
    closed |= {"deploy"} if wing == "report" else {"recipe", "report"}
    for path in MODULES:
        if room_of(name_of(path)) == wing:
            ours = {room_of(name) for name, _ in imports_of(path) if name.startswith("pruneflow.")}
            assert not ours & closed, name_of(path)


@each_module
def test_the_ground_floor_needs_nothing_but_python(path: Path) -> None:
    if FLOORS.get(room_of(name_of(path))) == 0:
        foreign = {name.split(".")[0] for name, _ in imports_of(path)} - {"pruneflow"}
        assert foreign <= sys.stdlib_module_names


@each_module
def test_lightning_stays_in_its_rooms(path: Path) -> None:
    if room_of(name_of(path)) not in MAY_IMPORT_LIGHTNING:
        assert not LIGHTNING & {name.split(".")[0] for name, _ in imports_of(path)}


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {
        name_of(path): {name for name, at_load in imports_of(path) if at_load and name in NAMES}
        for path in MODULES
    }
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for imported in graph[module]:
                walk(imported, (*way, module))
            done.add(module)

    for module in graph:
        walk(module, ())
    assert done == NAMES


@pytest.mark.parametrize("module", ["pruneflow", "pruneflow.modifiers", "pruneflow.recipe.schema"])
def test_importing_is_light(module: str) -> None:
    heavy = ["torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "numpy"]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exported_names_are_pinned_and_there() -> None:
    assert pruneflow.__all__ == [
        "Engine",
        "ExactCheckpoint",
        "Horizon",
        "PruneFlowError",
        "RecipeCallback",
        "compile_plan",
        "deploy_model",
        "find_layers",
        "load",
        "load_recipe",
        "prune",
        "resize",
    ]
    assert all(getattr(pruneflow, name).__name__ == name for name in pruneflow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Enginee'"):
        _ = pruneflow.Enginee


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "instantiate", "_target_"}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
FORBIDDEN_ATTRIBUTES = {"instantiate", "_target_", "unsafe_load", "full_load"}
UNSAFE_YAML = {"Loader", "UnsafeLoader", "FullLoader", "CLoader", "load", "load_all"}


def forbidden_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = [alias.name for alias in node.names]
            roots = {name.split(".")[0] for name in ([module] if module else names)}
            unsafe = UNSAFE_YAML if module == "yaml" else FORBIDDEN_ATTRIBUTES
            yield from roots & FORBIDDEN_MODULES | set(names) & unsafe
        elif isinstance(node, ast.Attribute):
            is_yaml = isinstance(node.value, ast.Name) and node.value.id == "yaml"
            if node.attr in FORBIDDEN_ATTRIBUTES | (UNSAFE_YAML if is_yaml else set()):
                yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg == "weights_only":
            yield from [] if ast.unparse(node.value) == "True" else ["weights_only"]


@each_module
def test_a_recipe_can_run_no_code(path: Path) -> None:
    found = list(forbidden_in(tree_of(path)))
    if room_of(name_of(path)) == "cli":  # it may look at Hydra's own settings
        found = [word for word in found if not re.search(r"\.hydra\.\w+\._target_$", word)]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "exec(text)",
        "hydra.utils.instantiate(config)",
        "from hydra.utils import instantiate",
        "yaml.load(text, Loader=yaml.Loader)",
        "from yaml import UnsafeLoader",
        "torch.load(path, weights_only=False)",
        "config._target_",
    ],
)
def test_what_is_forbidden_would_be_found(code: str) -> None:
    assert list(forbidden_in(ast.parse(code)))


def test_putting_a_model_in_eval_mode_is_no_eval() -> None:
    assert list(forbidden_in(ast.parse("model.eval(); yaml.SafeLoader; re.compile('x')"))) == []


@each_module
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES


@each_module
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))
