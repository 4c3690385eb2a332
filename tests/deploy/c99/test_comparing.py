"""The comparison of C code with torch, on outputs made up."""

from __future__ import annotations

import pytest
import torch

from pruneflow.deploy.accuracy import Classification
from pruneflow.deploy.c99.parity import compare
from pruneflow.errors import DeployError

X = torch.arange(8.0).reshape(4, 2)
LABELS = torch.tensor([1, 1, 0, 1])


def right(x: torch.Tensor) -> torch.Tensor:
    """Class 1 for all of X."""
    return x.clone()


def off(x: torch.Tensor) -> torch.Tensor:
    """Another class for the last input of X."""
    return torch.where(x > 6.5, -x, x)


def test_what_differs_is_counted_over_all_batches() -> None:
    data = Classification([(X[:3], LABELS[:3]), (X[3:], LABELS[3:])], "test", X)
    found = compare(off, right, off, data, X, 100.0)
    assert (found.samples, found.agree, found.split) == (4, 3, "test")
    assert (found.deviation, found.rounding) == (14.0, 0.0)
    assert found.accuracy is not None
    assert (found.accuracy.before, found.accuracy.after) == (0.75, 0.5)
    assert found.to_json()["drop"] == 25.0


def test_without_labels_there_is_no_accuracy() -> None:
    found = compare(right, right, right, None, X, 0.5)
    assert found.accuracy is None
    assert "accuracy" not in found.to_json()
    assert (found.samples, found.agree, found.deviation) == (4, 4, 0.0)


def test_an_output_that_is_no_number_is_an_error() -> None:
    with pytest.raises(DeployError, match="not finite"):
        compare(lambda x: x / x, right, right, None, X, 100.0)
