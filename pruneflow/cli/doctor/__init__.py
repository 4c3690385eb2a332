"""``pruneflow doctor``: what is installed, what will be used, and what is missing for what."""

from pruneflow.cli.doctor.command import main

__all__ = ["main"]
