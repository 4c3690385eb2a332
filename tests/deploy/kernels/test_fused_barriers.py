"""Who waits at which counter, with streams and captures that only a GPU has made up."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from pruneflow.deploy.kernels.fused import barriers

CPU = torch.device("cpu")


class Fake:
    """The parts of ``torch.cuda`` that say where a launch goes."""

    stream = 0
    captures = False

    def current(self) -> SimpleNamespace:
        """The current stream; the device itself cannot be waited for."""
        return SimpleNamespace(cuda_stream=self.stream, synchronize=lambda: None)

    def counters(self, count: int, stream: int = 0, captures: bool = False) -> range:
        """Where a launch's counters lie."""
        self.stream, self.captures = stream, captures
        found = barriers.barriers(CPU, count)
        assert found is not None
        assert not found.any()
        return range(found.storage_offset(), found.storage_offset() + len(found))


@pytest.fixture
def fake() -> Iterator[Fake]:
    one = Fake()
    state = {"_slabs": {}, "_used": {}, "_of_stream": {}}
    with (
        patch.multiple(barriers, **state),
        patch("torch.cuda.is_current_stream_capturing", lambda: one.captures),
        patch("torch.cuda.current_stream", lambda _: one.current()),
    ):
        yield one


def test_a_stream_keeps_its_counters_to_itself(fake: Fake) -> None:
    first, other = fake.counters(4), fake.counters(4, stream=1)
    assert set(first).isdisjoint(other)
    barriers.prepare(CPU)
    assert fake.counters(2) == fake.counters(4) == first
    more = fake.counters(8)
    assert len(more) == 8
    assert set(more).isdisjoint(first)
    assert set(more).isdisjoint(other)


def test_what_is_captured_never_shares(fake: Fake) -> None:
    found = [fake.counters(3, captures=captures) for captures in (False, True, True, False)]
    assert found[0] == found[3]
    assert len(set().union(*map(set, found))) == 9


def test_counters_run_out(fake: Fake) -> None:
    fake.counters(barriers.SLAB - 1)
    fake.counters(1, captures=True)
    assert barriers.barriers(CPU, 1) is None
