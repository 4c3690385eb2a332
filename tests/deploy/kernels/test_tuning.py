"""Tiles are tried out where that was asked for, once, and what was found can be kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pruneflow.deploy.kernels import KERNELS, Activation, Config, Kernel, Packed, Window, tuning

pytest.importorskip("triton")

NAME = "sell"
BATCH = 2


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_found", {})


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that outputs were computed with."""
    used: list[Config] = []
    inner = Kernel.run

    def run(self: Kernel, *given: Any) -> torch.Tensor:
        used.append(given[-1])
        return inner(self, *given)

    monkeypatch.setattr(Kernel, "run", run)
    return used


def fastest(monkeypatch: pytest.MonkeyPatch, best: Config, first: float = 9.0) -> list[Config]:
    """Let one config be the fastest, but in its first call; what was timed is listed."""
    timed: list[Config] = []

    def time(*given: Any) -> float:
        config = given[-1]
        timed.append(config)
        if timed.count(config) == 1:
            return first if config == best else 0.0  # it is being compiled
        return 1.0 if config == best else 2.0

    monkeypatch.setattr(tuning, "_time", time)
    return timed


def layer() -> tuple[torch.Tensor, Packed]:
    weight = torch.where(torch.rand(8, 32) < 0.5, torch.randn(8, 32), 0.0)
    return torch.randn(BATCH, 32), KERNELS[NAME].pack(weight)


def run(x: torch.Tensor, packed: Packed) -> torch.Tensor:
    return tuning.run(x, packed, None, Activation(), Window())


def test_the_best_guess_runs_where_nothing_is_tried(
    ran: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, packed = layer()
    configs = KERNELS[NAME].configs(packed, BATCH)
    timed = fastest(monkeypatch, configs[-1])
    run(x, packed)
    assert (ran, timed, tuning._found) == ([configs[0]], [], {})


def test_every_config_is_tried_in_turns_and_the_fastest_stays(
    ran: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, packed = layer()
    configs = list(KERNELS[NAME].configs(packed, BATCH))
    assert len(configs) > 1
    timed = fastest(monkeypatch, configs[-1])
    with tuning.trying() as tried:
        run(x, packed)
        assert timed == configs * (1 + tuning.ROUNDS)
        run(x, packed)
    run(x, packed)
    assert len(timed) == len(configs) * (1 + tuning.ROUNDS)
    assert ran == [configs[-1]] * 3
    assert tried == {tuning.key_of(x, packed, BATCH): configs[-1]}


def test_what_was_found_elsewhere_is_used(
    ran: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, packed = layer()
    configs = KERNELS[NAME].configs(packed, BATCH)
    key = tuning.key_of(x, packed, BATCH)
    tuning.use({key: configs[-1]})
    run(x, packed)
    tuning.use({key: configs[0]})  # later news do not count
    with tuning.trying() as tried:
        run(x, packed)
    assert ran == [configs[-1]] * 2
    assert tried == {key: configs[-1]}


def test_what_is_no_config_here_is_not_used(ran: list[Config]) -> None:
    x, packed = layer()
    configs = KERNELS[NAME].configs(packed, BATCH)
    tuning.use({tuning.key_of(x, packed, BATCH): {"num_warps": 10**9}})
    run(x, packed)
    assert ran == [configs[0]]


def test_what_matters_is_in_the_key() -> None:
    x, packed = layer()
    keys = {
        tuning.key_of(x, packed, BATCH),
        tuning.key_of(x, packed, BATCH + 1),
        tuning.key_of(x.half(), packed, BATCH),
        tuning.key_of(x, KERNELS[NAME].pack(torch.eye(8, 32)), BATCH),
        tuning.key_of(x, KERNELS[NAME].pack(torch.eye(16, 32)), BATCH),
    }
    assert len(keys) == 5


def test_tiles_that_do_not_fit_take_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            pass

    def fail(config: Config) -> None:
        raise RuntimeError("out of shared memory")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert tuning._time(fail, {}) == float("inf")
