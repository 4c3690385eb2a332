"""One process from which struck commands are forked, for all tests of faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.faults import struck
from benchmarks.faults.nursery import Nursery


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where commands begin at once, and faults strike them."""
    if lacks := Nursery.lacks():
        pytest.skip(lacks)
    with Nursery(tmp_path_factory.mktemp("nursery")) as opened:
        yield opened


@pytest.fixture(scope="session")
def reference(nursery: Nursery) -> dict[str, Any]:
    """What a run leaves that nothing strikes."""
    return struck.undisturbed(nursery)
