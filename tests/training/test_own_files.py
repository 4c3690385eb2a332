"""Results belong to the code and the weights that they were made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pruneflow.recipe import schema
from pruneflow.training import own_files
from pruneflow.training.own_files import contents

FILES = {
    "own_net.py": "import math\nimport torch.nn\nfrom own_parts.layers import Layer\n",
    "own_parts/__init__.py": "",
    "own_parts/layers.py": "from . import sizes, nothing\nfrom .. import above\nLayer = 1\n",
    "own_parts/sizes.py": "def late():\n    import own_words\n",
    "own_words.py": "this is no Python\n",
    "own_other.py": "raise AssertionError\n",
}
MODULES = {"own_net", "own_parts", "own_parts.layers", "own_parts.sizes", "own_words"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def values(module: str | None = None, weights: str | None = None, *imports: str) -> dict[str, Any]:
    model = {"name": "lenet5", "module": module, "weights": weights}
    return {"model": model, "data": {"module": None}, "imports": list(imports)}


def known(settings: Mapping[str, Any], home: Path, files: Sequence[str] = ()) -> dict[str, str]:
    """As a process finds it that has looked at no file before."""
    own_files._code.cache_clear()
    own_files._imported.cache_clear()
    return contents(settings, home, files)


def test_a_module_brings_what_it_imports_and_nothing_that_is_installed(home: Path) -> None:
    assert known(values("own_net:Net"), home).keys() == MODULES
    assert known(values(None, None, "own_parts"), home).keys() == {"own_parts"}
    assert known(values("pruneflow.zoo.lenet:LeNet5", None, "yaml", "nowhere"), home) == {}


@pytest.mark.parametrize("edited", [name for name in FILES if name != "own_other.py"])
def test_an_edit_anywhere_in_it_is_another_configuration(edited: str, home: Path) -> None:
    before = known(values("own_net:Net"), home)
    (home / edited).write_text(FILES[edited] + "# other\n")
    assert contents(values("own_net:Net"), home) == before, "what was imported stays that"
    after = known(values("own_net:Net"), home)
    assert sum(before[name] != after[name] for name in MODULES) == 1
    (home / "own_other.py").write_text("")
    assert known(values("own_net:Net"), home) == after


def test_weights_are_known_by_what_is_in_them(home: Path) -> None:
    (home / "dense").write_bytes(b"1")
    first = known(values(weights="dense"), home)
    (home / "dense").write_bytes(b"2")
    assert first.keys() == {"dense"}
    assert known(values(weights="dense"), home) != first
    assert known(values(weights="nowhere"), home) == {}


def test_a_recipes_own_files_are_known_by_what_is_in_them(home: Path) -> None:
    distill = {"type": "distill", "start": "0st"}
    assert schema.build({"modifiers": {"d": distill}}).files == []
    files = schema.build({"modifiers": {"d": {**distill, "teacher": "dense.ckpt"}}}).files
    (home / "dense.ckpt").write_bytes(b"1")
    first = known(values(), home, files)
    (home / "dense.ckpt").write_bytes(b"2")
    assert first.keys() == {"dense.ckpt"}
    assert known(values(), home, files) != first
