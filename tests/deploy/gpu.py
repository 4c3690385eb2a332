"""Whether a GPU is at hand, for tests of what happens there or without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

Test = TypeVar("Test", bound=Callable[..., Any])

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
"""For ``pytestmark``."""


def needs_gpu(test: Test) -> Test:
    """Decorator: a test that runs on a GPU only."""
    for mark in on_gpu:
        test = mark(test)
    return test


gpu_is_absent = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
