"""What every test may rely on: fixed seeds, one thread, an empty folder to work in.

A test that needs the repository itself takes the fixture ``repository``.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.strategies import load_profile

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

load_profile()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every test, in whatever order they run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRUNEFLOW_DATA", raising=False)
    return tmp_path


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sums in one order, and no fight over the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parent.parent
