"""The same network gives the same bytes, in this process and in any other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import torch

from pruneflow.deploy.c99.header import header_of
from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.source import source_of
from tests.deploy.c99.code import Case
from tests.deploy.c99.test_parity import CHOSEN

NAME = "two shortcuts that cross"


def digest() -> str:
    """Of all files of a network."""
    case = Case(CHOSEN[NAME], "gaps8", "int8")
    unit, inputs = case.unit(), case.network.inputs()
    test = self_test_of(unit, inputs, torch.zeros(3, unit.outputs), 1e-5)
    texts = (source_of(unit), header_of(unit, {"b": 1, "a": [2]}), test)
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def test_the_same_network_gives_the_same_bytes(repository: Path) -> None:
    assert digest() == digest()
    text = "from tests.deploy.c99.test_repeatable import digest; print(digest())"
    env = {**os.environ, "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", text], cwd=repository, check=True, capture_output=True, text=True,
        env=env,
    )  # fmt: skip
    assert told.stdout.strip() == digest()
