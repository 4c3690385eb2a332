"""Laws of held folders: one process at a time, and none that is dead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pruneflow.errors import HeldError
from pruneflow.holding import held
from tests.holders import holder

FOLDER = Path("some/run")


def test_a_folder_is_held_once_and_the_holder_is_named() -> None:
    with holder(FOLDER) as process, pytest.raises(HeldError) as error, held(FOLDER):
        pass
    assert str(error.value).startswith(f"some/run is in use: process {process} on")
    with held(FOLDER), pytest.raises(HeldError, match=f"process {os.getpid()} on"), held(FOLDER):
        pass


def test_a_killed_process_holds_nothing() -> None:
    with holder(FOLDER):
        pass
    with held(FOLDER):
        pass


def test_an_error_lets_go() -> None:
    with pytest.raises(ZeroDivisionError), held(FOLDER):
        raise ZeroDivisionError
    with held(FOLDER):
        pass


def test_a_forked_child_does_not_hold_on() -> None:
    ours, theirs = os.pipe()
    with held(FOLDER):
        child = os.fork()
        if not child:  # a worker that outlives us
            os.read(ours, 1)
            os._exit(0)
    with held(FOLDER):
        pass
    os.write(theirs, b".")
    assert os.waitpid(child, 0)[1] == 0
    os.close(ours)
    os.close(theirs)


def test_who_has_not_said_yet_who_it_is_is_somebody() -> None:
    with held(FOLDER):
        (FOLDER / ".claimed").write_bytes(b"")
        with pytest.raises(HeldError, match="another process works in it"), held(FOLDER):
            pass
