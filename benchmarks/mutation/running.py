"""Runs tests against a mutant: a fork of a process that has loaded everything but PruneFlow.

No file changes: where the mutated module is imported, the fork gets its other code.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import NoReturn

import pytest
from hypothesis import Phase, settings

from benchmarks.mutation.covering import QUICK

LIBRARIES = (
    "numpy", "torch", "torchmetrics", "hydra", "hydra.core.plugins", "hydra.core.utils",
    "hydra._internal.config_loader_impl", "pytorch_lightning", "lightning", "rich.table",
    "safetensors.torch", "scipy.sparse", "hypothesis.strategies", "torch.distributed.tensor",
    "torch.distributed.fsdp", "torch.nn.utils.prune", "torch._dynamo", "torch_pruning",
)  # fmt: skip
MEMORY = 12 << 30
ALIVE = ""
"""Said of a mutant that every test passed."""


def prepare() -> None:
    """Load what every test needs and no mutant changes."""
    for name in LIBRARIES:
        importlib.import_module(name)
    assert "pruneflow" not in sys.modules


def verdict(code: CodeType | None, module: str, tests: Sequence[str], seconds: float) -> str:
    """The tests that a mutant fails, a line each, ``ALIVE``, or how it ended otherwise.

    Args:
        code: The mutated module, which the first failure ends; None for the program as it is.
        module: Its name.
        tests: What to run, in this order.
        seconds: The time that these tests take on the program as it is.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _life(code, module, tests, seconds, write)
    os.close(write)
    ended, said = _waited(child, 4 * (60 + 5 * seconds)), os.read(read, 1 << 16).decode().strip()
    os.close(read)
    if said:
        return said
    if ended is None or (os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGXCPU):
        return "time limit"
    exit_code = os.waitstatus_to_exitcode(ended)
    return ALIVE if exit_code in (0, 5) else f"exit code {exit_code}"


def _waited(child: int, seconds: float) -> int | None:
    """How a process ended; None: it had to be killed."""
    began = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done or time.monotonic() - began > seconds:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # it, or what it left behind
            if not done:
                os.waitpid(child, 0)
            return status if done else None
        time.sleep(0.02)


def _life(
    code: CodeType | None, module: str, tests: Sequence[str], seconds: float, pipe: int
) -> NoReturn:
    """What the fork does."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    limit = int(15 + 2 * seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    settings.register_profile("brief", phases=(Phase.explicit, Phase.generate))
    settings.load_profile("brief")  # what the tests' own profile does not say, it takes from here
    if code is not None:
        sys.meta_path.insert(0, _Finder(module, code))
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    words = [*QUICK, "--tb=no", f"--maxfail={int(code is not None)}", *files]
    result: int = pytest.main(words, plugins=[_Chosen(tests, pipe)])
    os._exit(result)


class _Finder(MetaPathFinder):
    """Finds the mutated module in place of its file."""

    def __init__(self, module: str, code: CodeType) -> None:
        self.module, self.code = module, code

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.module else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, self.code)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        return self.code


class _Chosen:
    """Runs only some tests, in their order, and says at once which ones failed."""

    def __init__(self, tests: Sequence[str], pipe: int) -> None:
        self.place = {test: number for number, test in enumerate(tests)}
        self.pipe = pipe

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(chosen, key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.pipe, f"{report.nodeid}\n".encode())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            os.write(self.pipe, f"collecting {report.nodeid}\n".encode())
