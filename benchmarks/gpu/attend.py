"""Attends to the process that measures: keeps what it finds, and starts it again if it dies."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.gpu import goals
from benchmarks.gpu.results import Results, fastest, figure, speedup
from benchmarks.gpu.worker import work

SILENCE = 150.0
"""Seconds without a word after which an engine counts as hung."""

GRACE = 20.0
"""Seconds beyond its time that the last cell may take."""

MOST_STARTS = 12


class Attendant:
    """One call of the benchmark.

    Args:
        results: Where findings go.
        minutes: How long it may take.
        only: A regular expression for the titles of cells.
        again: Whether finished cells are measured anew.
        is_rehearsal: Whether it runs on a CPU, in Triton's interpreter.
        silence: Seconds without a word after which an engine counts as hung.
    """

    def __init__(
        self, results: Results, minutes: float, only: str = "", again: bool = False,
        is_rehearsal: bool = False, silence: float = SILENCE,
    ) -> None:  # fmt: skip
        self.results, self.only, self.again = results, only, again
        self.is_rehearsal, self.silence = is_rehearsal, silence
        self.begun = time.monotonic()
        self.end = self.begun + 60 * minutes
        self.found: dict[str, Any] = {}
        self.measured: set[str] = set()

    def attend(self) -> bool:
        """Measure until everything is finished, or the time is over; whether all is finished."""
        for _ in range(MOST_STARTS):
            left = self._one_life()
            if left is not None:
                return left == 0
        return False

    def _one_life(self) -> int | None:
        """Start a process and listen to it; how many cells it left, None if it has to go on."""
        context = multiprocessing.get_context("spawn")
        pipe, other = context.Pipe()
        process = context.Process(target=work, args=(other, self.is_rehearsal, self.only))
        process.start()
        other.close()
        try:
            return self._listen(pipe)
        finally:
            process.join(5)
            if process.is_alive():
                process.kill()  # one that waits for a hung GPU may take its time
                process.join(10)

    def _listen(self, pipe: Connection) -> int | None:
        running = ("", "start")
        while True:
            late = self.end + GRACE - time.monotonic()
            if late <= 0:
                print("the time is over: the cell at hand is not kept", flush=True)
                return 1
            if not pipe.poll(min(self.silence, late)):
                if late > self.silence:
                    return self._broke(*running, f"not a word for {self.silence:g} seconds")
                continue
            try:
                word, *rest = pipe.recv()
            except EOFError:
                return self._broke(*running, "its process died")
            if word == "machine":
                pipe.send(self._begin(*rest))
            elif word == "runs":
                running = tuple(rest)
            elif word == "cell":
                self._keep(*rest)
            elif word == "broke":
                return self._broke(*running, *rest)
            else:
                return int(rest[0])

    def _begin(self, machine: Mapping[str, Any]) -> tuple[set[str], dict[str, Any], float]:
        """What the process has to know."""
        is_first, self.found = not self.found, self.results.of(machine)
        finished = set(self.found["cells"])
        if self.again:
            finished = {t for t in finished if t in self.measured or not re.search(self.only, t)}
        if self.again and is_first:
            old = self.found["broken"]
            self.found["broken"] = {t: old[t] for t in old if not re.search(self.only, t)}
        return finished, self.found["broken"], self.end - time.monotonic()

    def _keep(self, title: str, cell: dict[str, Any]) -> None:
        self.found["cells"][title] = cell
        self.found["goals"] = goals.judged(self.found["cells"])
        self.measured.add(title)
        self.results.write()
        passed = int(time.monotonic() - self.begun)
        print(f"{passed // 60}:{passed % 60:02} {title}: {in_words(cell)}", flush=True)

    def _broke(self, title: str, engine: str, why: str) -> int | None:
        """Note what broke; the cell is tried again without it."""
        print(f"{title or 'the benchmark'}: {engine} broke: {why}", flush=True)
        if not title:
            return 1
        self.found["broken"].setdefault(title, {})[engine] = why
        self.results.write()
        return None


def in_words(cell: Mapping[str, Any]) -> str:
    """A cell in one line."""
    if "failed" in cell:
        return f"failed: {cell['failed']}"
    dense, own = fastest(cell, "dense"), fastest(cell, "ours")
    words = [f"{name} {took:.1f} us" for name, took in filter(None, (dense, own))]
    if own and (gain := speedup(cell, "ours")):
        row = cell["rows"][own[0]]
        share = f", {row['share_of_limit']:.0%} of its limit" if "limits" in row else ""
        words.append(f"{gain:.2f}x{share}")
    others = [name for name, row in cell["rows"].items() if figure(row) is None]
    return "; ".join(words) + (f"; failed: {', '.join(others)}" if others else "")
