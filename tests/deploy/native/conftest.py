"""Kernels compiled for other processors, once for all tests."""

from __future__ import annotations

import pytest

from pruneflow.deploy.native.library import Library
from tests.deploy.native.kernels import BUILDS, COMPILER, built


@pytest.fixture(scope="session", params=list(BUILDS))
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The kernels, compiled in each of several ways."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    return built(request.param, tmp_path_factory.mktemp("kernels"))
