"""Fixtures of the tests of deployment."""

from __future__ import annotations

from tests.deploy.fakes import clock, register, traced_once

__all__ = ["clock", "register", "traced_once"]
