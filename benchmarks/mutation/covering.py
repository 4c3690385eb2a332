"""Which tests run which line of the package, written down once for all mutants."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

QUICK = (
    "-q", "-o", "addopts=", "-m", "not slow and not gpu", "-p", "no:cacheprovider", "-n", "0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # Hypothesis may be loaded already
)  # fmt: skip


@dataclass(frozen=True)
class Covering:
    """What one run of the tests showed.

    Attributes:
        seconds: By test, the processor's time that it took under the tracer.
        lines: By file of the package, by line: the tests that run it. Line 0 stands for what
            runs when the file is imported: the tests that run anything else of it.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    def of(self, path: str, line: int, statement: int) -> list[str]:
        """The tests that run a line, the fastest first; then those that may notice it otherwise.

        A line may run once for many tests, at import or before a cache: the latter are those that
        run anything of its file, and those of the file of tests that is named after it.

        Args:
            path: The file.
            line: The line, or one that the tracer counts as part of a statement.
            statement: Where the statement begins; 0 where it runs at import.
        """
        known = self.lines.get(path, {})
        tests = {*known.get(line, []), *known.get(statement, [])} & self.seconds.keys()
        named = f"/test_{Path(path).stem}.py::"
        others = set(known.get(0, [])) | {test for test in self.seconds if named in test}
        others &= self.seconds.keys() - tests
        quick = self.seconds.__getitem__
        return [*sorted(tests, key=quick), *sorted(others, key=quick)]


class Recorder:
    """Tells the tracer which test it is looking at, and the time every test takes."""

    def __init__(self, tracer: coverage.Coverage) -> None:
        self.tracer = tracer
        self.seconds: dict[str, float] = {}
        self.red: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        began = time.process_time()
        self.tracer.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.tracer.switch_context("")
            self.seconds[item.nodeid] = time.process_time() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.red.add(report.nodeid)


def trace(repository: Path, rooms: list[str], into: Path) -> None:
    """Run the quick tests of some rooms in this process and add what they cover to a file.

    Tests that fail, or are skipped, cover nothing: they could not notice anything.
    """
    tracer = coverage.Coverage(
        data_file=into.with_suffix(".coverage"), branch=True, source=[str(repository / "pruneflow")]
    )
    recorder = Recorder(tracer)
    tracer.load()
    tracer.start()
    pytest.main([*QUICK, *rooms], plugins=[recorder])
    tracer.stop()
    tracer.save()
    seconds = read(into).seconds if into.is_file() else {}
    seconds |= recorder.seconds
    seconds = {test: spent for test, spent in seconds.items() if test not in recorder.red}
    lines = {}
    for measured in tracer.get_data().measured_files():
        by_line = tracer.get_data().contexts_by_lineno(measured)
        by_line[0] = [test for tests in by_line.values() for test in tests]
        own = {line: sorted(set(tests) - {""}) for line, tests in by_line.items()}
        lines[str(Path(measured).relative_to(repository))] = own
    into.write_text(json.dumps({"seconds": seconds, "lines": lines}), encoding="utf-8")


def read(path: Path) -> Covering:
    """What ``record`` wrote."""
    tree = json.loads(path.read_text(encoding="utf-8"))
    lines = {
        name: {int(line): tests for line, tests in by_line.items()}
        for name, by_line in tree["lines"].items()
    }
    return Covering(tree["seconds"], lines)
