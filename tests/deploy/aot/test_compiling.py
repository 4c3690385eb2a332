"""Compiling ahead of time: without a GPU, while Triton interprets here, leaving nothing behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("triton")

from pruneflow.deploy.aot.compiling import ARCHITECTURES, compile_launches
from pruneflow.deploy.kernels import language
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.errors import DeployError
from tests.deploy.aot import tiny


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which has to be empty again at the end of each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_equal_launches_are_compiled_once_and_everywhere_the_same() -> None:
    told: list[str] = []
    launches = [tiny.adding(), tiny.summing(), tiny.adding(scale=3.0), tiny.adding(bias=False)]
    first = compile_launches(launches, "sm_90", told.append)
    again = compile_launches(launches[1::-1], "sm_90")
    assert told == [
        "compiling add for sm_90, 1 of 3",
        "compiling sum_squares for sm_90, 2 of 3",
        "compiling add for sm_90, 3 of 3",
    ]
    assert [cubin.symbol for cubin in first] == ["add", "sum_squares", "add", "add"]
    assert first[0].data == first[2].data != first[3].data
    assert [cubin.data for cubin in again] == [first[1].data, first[0].data]
    for path in (tiny.__file__, tempfile.gettempdir(), sys.prefix):
        assert all(str(path).encode() not in cubin.data for cubin in first)


def test_what_a_cubin_asks_for() -> None:
    square, cooperative, small, large = compile_launches(
        [tiny.summing(), tiny.summing(is_cooperative=True), tiny.crowding(16), tiny.crowding(128)],
        "sm_80",
    )
    found = square.resources
    assert found.products > 0
    assert found.loads == {128: found.products / 4}
    assert found.cost == found.instructions / found.products
    assert found.tensor == found.spilled == found.copies == 0
    assert square.warps == 4
    assert square.scratch == ((0, 1), (0, 1))
    assert cooperative.build.is_cooperative
    assert small.resources.products == 64 * small.resources.tensor > 0
    assert small.resources.spilled == 0
    assert large.resources.spilled > 0
    assert large.resources.registers > small.resources.registers


@pytest.mark.slow
@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_every_architecture_can_be_compiled_for(arch: str) -> None:
    (cubin,) = compile_launches([tiny.summing()], arch)
    assert cubin.resources.loads == {128: cubin.resources.products / 4}


@pytest.mark.parametrize("arch", ["sm_9", "90", "sm_1000", ""])
def test_an_unknown_architecture_is_refused(arch: str) -> None:
    with pytest.raises(DeployError, match=rf"deploy.arch={arch}: .*Allowed: sm_100, .*sm_90"):
        compile_launches([tiny.adding()], arch)


def test_without_triton_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "triton", None)
    with pytest.raises(DeployError, match="pip install triton"):
        compile_launches([tiny.adding()], "sm_90")


def test_a_broken_kernel_is_named_and_so_is_what_is_wrong() -> None:
    launch = Launch(tiny.broken, (1,), {"x_ptr": tiny.adding().arguments["x_ptr"]}, {"BLOCK": 16})
    with pytest.raises(DeployError, match=r"^broken cannot be compiled for sm_90: .*no_such_name"):
        compile_launches([tiny.adding(), launch], "sm_90")


def test_a_kernel_must_fit_into_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "sm_80", 0)
    with pytest.raises(
        DeployError, match=r"sum_squares .* sm_80: it needs [1-9]\d* bytes of shared"
    ):
        compile_launches([tiny.summing()], "sm_80")


def test_without_nvidias_tools_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = SimpleNamespace(path="/no/such/tool")
    knobs = SimpleNamespace(cuobjdump=gone, nvdisasm=gone)
    monkeypatch.setattr(language.triton.knobs, "nvidia", knobs)
    with pytest.raises(DeployError, match=r"cubins cannot be looked into: .*/no/such/tool"):
        compile_launches([tiny.adding()], "sm_80")


def test_a_compiler_that_dies_leaves_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneflow.deploy.aot.compiling.WORKER", "tests.deploy.aot.dying")
    with pytest.raises(DeployError, match="add cannot be compiled for sm_80: out of everything"):
        compile_launches([tiny.adding()], "sm_80")
