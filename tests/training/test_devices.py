"""``trainer.devices``: what it may be, and how many processes it asks for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pruneflow.errors import ConfigError
from pruneflow.training import hardware
from pruneflow.training.devices import processes, require_devices, resolved


def settled(devices: Any, accelerator: str = "cpu", **more: Any) -> dict[str, Any]:
    return resolved({"accelerator": accelerator, "devices": devices, **more})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three GPUs, as far as torch says."""
    monkeypatch.setattr(hardware, "_has_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.parametrize(
    ("devices", "count"), [(1, 1), (2, 2), ("2", 2), ("auto", 1), (-1, 1), ("-1", 1)]
)
def test_processes_on_a_cpu(devices: Any, count: int) -> None:
    assert processes(settled(devices)) == count
    require_devices(settled(devices))


@pytest.mark.parametrize(
    ("devices", "found"),
    [(2, 2), ("auto", 3), (-1, 3), ([0, 2], [0, 2]), ("0,2", [0, 2]), ("1,", [1])],
)
@pytest.mark.usefixtures("gpus")
def test_processes_on_gpus(devices: Any, found: Any) -> None:
    settings = settled(devices, "gpu")
    assert settings["devices"] == found
    assert processes(settings) == (len(found) if isinstance(found, list) else found)
    assert resolved(settings) == settings
    require_devices(settings)


@pytest.mark.parametrize("devices", [0, -2, 1.5, True, None, "two", "", [], [0, 0], [0, "x"], {}])
@pytest.mark.usefixtures("gpus")
def test_what_is_no_number_of_devices_is_refused(devices: Any) -> None:
    with pytest.raises(ConfigError, match=r"^trainer.devices=.*: needs a whole number from 1"):
        settled(devices, "gpu")


@pytest.mark.parametrize("devices", [4, [3]])
@pytest.mark.usefixtures("gpus")
def test_more_gpus_than_there_are(devices: Any) -> None:
    with pytest.raises(ConfigError, match="there are 3 GPUs here"):
        require_devices(settled(devices, "gpu"))


def test_a_cpu_has_no_numbered_devices() -> None:
    with pytest.raises(ConfigError, match=r"devices=\[0,1\]: a CPU has no numbered devices"):
        settled([0, 1])


def test_apples_gpu_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_has_mps", lambda: True)
    assert processes(settled("auto", "mps")) == 1
    with pytest.raises(ConfigError, match="is one device; write 1"):
        settled(2, "mps")


@pytest.mark.parametrize("more", [{"strategy": "ddp_spawn"}, {"num_nodes": 2}])
def test_processes_are_asked_for_in_one_way(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cannot be set; trainer"):
        settled(1, **more)
