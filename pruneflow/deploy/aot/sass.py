"""What a GPU executes, read from a disassembled cubin: instructions, loops, products."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_LABEL = re.compile(r"\s*(\.L_\w+):")
_INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(@\S+\s+)?([A-Z]\S*)\s*(.*?)\s*;")
_TARGET = re.compile(r"`\((\.L_\w+)\)")
_TENSOR = re.compile(r"HMMA\.(?P<mma>\d+)|HGMMA\.(?P<m>\d+)x(?P<n>\d+)x(?P<k>\d+)")
_MMA = {"16816": 16 * 8 * 16, "1688": 16 * 8 * 8, "1684": 16 * 8 * 4, "884": 8 * 8 * 4}
_NO_JUMP = ("BSSY", "CALL")
_ENDS = ("EXIT", "RET", "KILL")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: With its modifiers: ``LDG.E.128``.
        is_certain: Whether it is executed whatever predicates say.
        target: The label it may jump to.
    """

    name: str
    is_certain: bool
    target: str | None

    @property
    def products(self) -> float:
        """How many numbers it multiplies and adds in float32, for each thread."""
        if (found := _TENSOR.match(self.name)) is None:
            return {"FFMA": 1, "FFMA2": 2}.get(self.name.split(".")[0], 0)
        if found["mma"]:
            return _MMA[found["mma"]] / 32
        return int(found["m"]) * int(found["n"]) * int(found["k"]) / 128

    @property
    def is_tensor(self) -> bool:
        """Whether tensor cores execute it."""
        return _TENSOR.match(self.name) is not None


class Code:
    """The instructions of a cubin, in order.

    Args:
        text: What ``nvdisasm -c`` prints.
    """

    def __init__(self, text: str) -> None:
        self.instructions: list[Instruction] = []
        self._labels: dict[str, int] = {}
        for line in text.splitlines():
            if label := _LABEL.match(line):
                self._labels[label[1]] = len(self.instructions)
            elif found := _INSTRUCTION.match(line):
                self.instructions.append(_instruction(*found.groups()))

    @property
    def hot(self) -> list[Instruction]:
        """The innermost of the loops that multiply, all together; all of it if there are none."""
        loops = [loop for loop in self.loops if any(self.instructions[i].products for i in loop)]
        inner = [loop for loop in loops if not any(other < loop for other in loops)]
        places = sorted(frozenset().union(*inner))
        return [self.instructions[i] for i in places] or self.instructions

    @cached_property
    def loops(self) -> list[frozenset[int]]:
        """The natural loops (Aho et al. 2006, section 9.6), as places of instructions.

        A jump backwards alone is no loop: code that is seldom reached is laid out at the end, and
        jumps back from there.
        """
        before: list[list[int]] = [[] for _ in self.instructions]
        for place in range(len(before)):
            for after in self._after(place):
                before[after].append(place)
        dominators = self._dominators(before)
        loops: dict[int, set[int]] = {}
        for head, places in enumerate(before):
            for tail in places:
                if dominators[tail] >> head & 1:
                    loops.setdefault(head, {head}).update(_reaching(tail, head, before))
        return [frozenset(loop) for loop in loops.values()]

    def _after(self, place: int) -> Iterator[int]:
        instruction = self.instructions[place]
        name = instruction.name.split(".")[0]
        jumps = instruction.target in self._labels and name not in _NO_JUMP
        if jumps:
            yield self._labels[instruction.target or ""]
        leaves = instruction.is_certain and (name in _ENDS or (jumps and name == "BRA"))
        if not leaves and place + 1 < len(self.instructions):
            yield place + 1

    def _dominators(self, before: Sequence[Sequence[int]]) -> list[int]:
        """For each place a set, as bits, of places that lie on every way to it."""
        everything = (1 << len(before)) - 1
        found = [everything] * len(before)
        changed = True
        while changed:
            changed = False
            for place, places in enumerate(before):
                common = everything if place else 0
                for other in places:
                    common &= found[other]
                if (common := common | 1 << place) != found[place]:
                    found[place], changed = common, True
        return found


def _instruction(predicate: str | None, name: str, operands: str) -> Instruction:
    target = _TARGET.search(operands)
    alone = target is None or target.start() == 0
    return Instruction(name, predicate is None and alone, target[1] if target else None)


def _reaching(tail: int, head: int, before: Sequence[Sequence[int]]) -> set[int]:
    """The places from which ``tail`` can be reached without passing ``head``."""
    found, waiting = {head, tail}, [tail] if tail != head else []
    while waiting:
        for place in before[waiting.pop()]:
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found
