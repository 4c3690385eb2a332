"""What does not occur in the product's code, whatever it is given to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pruneflow

PACKAGE = Path(pruneflow.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}

CODE = {
    "eval",
    "exec",
    "compile",
    "execfile",
    "__import__",
    "instantiate",
    "get_class",
    "get_method",
}
"""What makes code of text, called by its plain name; ``module.eval()`` is torch's."""

PICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "runpy"}
YAML = {
    "Loader", "UnsafeLoader", "FullLoader", "CLoader", "CUnsafeLoader", "CFullLoader",
    "load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all",
}  # fmt: skip
CALLS = {
    ("os", "system"), ("os", "popen"), ("torch", "package"), ("torch", "hub"), ("jit", "load"),
    ("hydra", "utils"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput"),
}  # fmt: skip

WORDS = re.compile(
    r"(?<!\.)\b(?:eval|compile)\s*\(|\b(?:yaml|shell|allow_pickle|import_module|torch\.load|trainer\.(?:fit|test)|"
    + "|".join([*(CODE - {"eval", "compile"}), *PICKLING, *(word for _, word in CALLS)])
    + r")\b"
)

MAY_IMPORT_BY_NAME = {
    "__init__.py",  # the names it hands out
    "cli/__init__.py",  # its own commands
    "user_code.py",  # what a person names
    "deploy/aot/worker.py",  # what our own other half asks it for
    "cli/doctor/packages.py",  # what PruneFlow depends on
    "deploy/formats/__init__.py", "deploy/kernels/__init__.py", "modifiers/__init__.py",
    "pruning/granularities/__init__.py", "pruning/oneshot/__init__.py",  # the files beside them
}  # fmt: skip
MAY_LOAD = {"tensor_file.py", "operations/ranks.py"}


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    """Those of a module, or none where no word is in it that is looked for."""
    text = MODULES[name].read_text(encoding="utf-8")
    return tuple(ast.walk(ast.parse(text))) if WORDS.search(text) else ()


def said(node: ast.AST) -> str:
    """A dotted name, or nothing."""
    if isinstance(node, ast.Attribute):
        return f"{said(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def found(name: str) -> Iterator[str]:
    """What a module must not hold."""
    for node in nodes(name):
        words = [said(node), *imported(node)]
        for word in filter(None, words):
            parts = word.split(".")
            if PICKLING.intersection(parts) or (parts[-1] in CODE and len(parts) == 1):
                yield word
            if parts[-1] in CODE - {"eval", "compile"} or (
                parts[0] == "yaml" and parts[-1] in YAML
            ):
                yield word
            if tuple(parts[-2:]) in CALLS:
                yield word
        if isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle"):
            yield f"{node.arg}="


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "torch.serialization.pickle.loads(x)",
        "eval(x)", "exec(x)", "compile(x, '', 'exec')", "__import__(x)", "builtins.exec(x)",
        "hydra.utils.instantiate(x)", "from hydra.utils import instantiate", "yaml.load(x)",
        "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)", "from yaml import Loader",
        "os.system(x)", "subprocess.run(x, shell=True)", "np.load(x, allow_pickle=True)",
        "from os import system", "torch.jit.load(x)", "import shelve",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.py").write_text(code)
    monkeypatch.setitem(MODULES, code, tmp_path / "bad.py")
    assert list(found(code))


def test_nothing_unpickles_evaluates_or_instantiates() -> None:
    assert {name: bad for name in MODULES if (bad := sorted(set(found(name))))} == {}


def test_torch_load_takes_weights_only() -> None:
    calls = [
        (name, node)
        for name in MODULES
        for node in nodes(name)
        if isinstance(node, ast.Call) and said(node.func) == "torch.load"
    ]
    assert {name for name, _ in calls} == MAY_LOAD
    for name, call in calls:
        safe = [k.value for k in call.keywords if k.arg == "weights_only"]
        assert [ast.unparse(value) for value in safe] == ["True"], name


def test_lightning_is_told_to_take_weights_only() -> None:
    calls = [
        node
        for name in MODULES
        for node in nodes(name)
        if isinstance(node, ast.Call) and said(node.func) in ("trainer.fit", "trainer.test")
    ]
    assert calls
    for call in calls:
        assert {k.arg: ast.unparse(k.value) for k in call.keywords}["weights_only"] == "True"


def test_modules_are_imported_by_name_in_named_places() -> None:
    places = {
        name
        for name in MODULES
        for node in nodes(name)
        if isinstance(node, ast.Call) and said(node.func).rpartition(".")[2] == "import_module"
    }
    assert places == MAY_IMPORT_BY_NAME


def test_hydra_does_not_unpickle_a_rerun() -> None:
    from pruneflow.cli.arguments import parse
    from pruneflow.errors import ConfigError

    with pytest.raises(ConfigError, match="would unpickle a file"):
        parse(["--experimental-rerun=sent.pickle"])
