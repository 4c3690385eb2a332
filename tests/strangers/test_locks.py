"""Lock files and run folders of strangers: no module imported, nothing read without end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from pruneflow import plain_yaml
from pruneflow.cli import main
from pruneflow.errors import ResumeError
from pruneflow.training import trust
from pruneflow.training.finished import open_run
from pruneflow.training.resume import begin, is_same, read_lock, repeated
from tests.e2e.command import tiny
from tests.strangers.canary import CANARY, EVIL, is_alive

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A lock that asks for nothing beyond its folder."""
    from pruneflow.cli.arguments import parse
    from pruneflow.cli.jobs import Composer

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        tiny()
        words = ["recipe=tiny", "sparsity=0.5"]
        composer = Composer("train", parse(words))
        tree: dict[str, Any] = composer.job(parse(words).overrides).config.to_lock()
    return tree


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own, for the key."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """No module of this test is known to the next."""
    path, before = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("evil", "sent")):
            del sys.modules[name]


def sent(lock: dict[str, Any], change: Change = lambda tree: None, folder: str = "sent") -> Path:
    """A run folder with this lock, as it came by mail."""
    tree = yaml.safe_load(yaml.safe_dump(lock))
    change(tree)
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "run.lock.yaml").write_text(plain_yaml.dump(tree))
    Path(folder, "evil.py").write_text(EVIL)
    Path("evil.py").write_text(EVIL)
    return Path(folder)


ASKS: dict[str, Change] = {
    "imports": lambda tree: tree["config"].update(imports=["evil"]),
    "of its own folder": lambda tree: tree["config"].update(imports=["sent.evil"]),
    "model": lambda tree: tree["config"]["model"].update(module="evil:Net"),
    "data": lambda tree: tree["config"]["data"].update(module="evil:Data"),
}


@pytest.mark.parametrize("asks", list(ASKS))
def test_a_lock_imports_nothing(lock: dict[str, Any], asks: str) -> None:
    folder = sent(lock, ASKS[asks])
    with pytest.raises(ResumeError, match=r"imports .*evil, and was not written by you .*trust="):
        read_lock(folder)
    assert is_alive()


@pytest.mark.parametrize(
    "command", ["train run=sent", "train run=sent ckpt_path=last", "deploy run=sent"]
)
def test_no_command_imports_for_a_lock(
    lock: dict[str, Any], command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = sent(lock, ASKS["imports"])
    result = '{"recipe": "a", "model": "b", "data": "c", "seed": 0}'
    if "deploy" in command:
        (folder / "result.json").write_text(result)
    assert main(command.split()) == 2
    assert "was not written by you on this machine" in capfd.readouterr().err
    assert is_alive()
    assert {path.name for path in folder.iterdir()} <= {"run.lock.yaml", "evil.py", "result.json"}


def test_a_run_beside_is_not_asked_for_its_modules(lock: dict[str, Any]) -> None:
    mine = repeated(sent(lock, folder="mine"), None)
    assert not is_same(mine, sent(lock, ASKS["imports"]))
    assert is_alive()


def test_who_trusts_a_lock_says_so(lock: dict[str, Any]) -> None:
    folder = sent(lock, ASKS["imports"])
    repeated(folder, None, trusted=True)
    assert not is_alive()


def test_own_locks_are_known(lock: dict[str, Any]) -> None:
    config = repeated(sent(lock, ASKS["imports"]), None, trusted=True)
    Path(CANARY).unlink()
    begin(config, Path("own"), Console(quiet=True))
    assert read_lock(Path("own")).digest == config.digest


def test_a_signature_is_of_one_lock_and_one_person(
    lock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sent(lock, ASKS["imports"])
    text = (folder / "run.lock.yaml").read_text()
    trust.sign(folder, text)
    (folder / "run.lock.yaml").write_text(f"{text}\n")
    with pytest.raises(ResumeError, match="not written by you"):
        read_lock(folder)
    (folder / "run.lock.yaml").write_text(text)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("another").absolute()))
    with pytest.raises(ResumeError, match="not written by you"):
        read_lock(folder)
    assert is_alive()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["logger"].update(name="mlflow", experiment="x", tracking_uri="http://x"),
         "logs to http://x"),
        (lambda c: c.update(logger={"name": "wandb", "project": "x", "offline": False}),
         "logs to wandb's server"),
        (lambda c: c["data"].update(root="/etc"), "keeps data in /etc"),
        (lambda c: c["data"].update(root="../out"), "keeps data in ../out"),
        (lambda c: c["data"].update(args={"root": "/etc"}), "keeps data in /etc"),
    ],
)  # fmt: skip
def test_a_lock_sends_and_keeps_nothing_elsewhere(
    lock: dict[str, Any], change: Change, words: str
) -> None:
    with pytest.raises(ResumeError, match=words):
        read_lock(sent(lock, lambda tree: change(tree["config"])))


def test_a_lock_that_asks_for_nothing_needs_no_trust(lock: dict[str, Any]) -> None:
    assert read_lock(sent(lock)).recipe.to_dict() == lock["recipe"]
    assert is_alive()


ALIASES = "a: &a [1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system ['touch canary']", "tags"),
        ("a: !!python/name:os.system", "tags"),
        ("!!python/module:evil", "tags"),
        ("a: &a [*a]", "aliases"),
        (ALIASES, "aliases"),
        ("[" * 10_000, "deeper than 64"),
        ("a: " * 5000, "is damaged"),
        (f"a: {'1' * 5000}", "digits"),
        ("- 1", "is damaged"),
        ("config: {imports: 1}", "is damaged"),
        (" " * (2**20 + 1), "larger than 1 MiB"),
    ],
)
def test_a_lock_is_plain_data_and_small(text: str, words: str) -> None:
    Path("sent").mkdir()
    Path("sent/run.lock.yaml").write_text(text)
    with pytest.raises(ResumeError, match=words):
        read_lock(Path("sent"))
    assert not Path(CANARY).exists()


def test_what_the_product_writes_has_no_aliases() -> None:
    shared = [1, 2]
    text = plain_yaml.dump({"a": shared, "b": shared})
    assert plain_yaml.load(text) == {"a": [1, 2], "b": [1, 2]}


def test_modules_in_the_folder_stand_in_for_no_package(lock: dict[str, Any]) -> None:
    before = list(sys.path)
    read_lock(sent(lock))
    tiny()
    assert main(["plan", "recipe=tiny", "sparsity=0.5"]) == 0
    assert sys.path == before


def test_a_run_is_opened_without_its_modules(lock: dict[str, Any]) -> None:
    folder = sent(lock, ASKS["model"])
    (folder / "result.json").write_text('{"recipe": "a", "model": "b", "data": "c", "seed": 0}')
    with pytest.raises(ResumeError, match="not written by you"):
        open_run(folder)
    assert is_alive()
