"""A folder of cubins says all that is needed to launch them."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pruneflow.deploy.aot.planning import Layer, Work, plan
from pruneflow.deploy.aot.writing import HIDDEN, INDEX, PACKED, write_cubins
from pruneflow.deploy.kernels import KERNELS, Activation, Window, language
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.errors import DeployError
from tests.deploy.aot import tiny

pytest.importorskip("triton")

SIZES = {"i64": 8, "i32": 4, "fp32": 4}


def layer(name: str = "fc1", **options: Any) -> Layer:
    weight = torch.where(torch.rand(48, 96) < 0.2, torch.randn(48, 96), 0.0).bfloat16()
    return Layer(name, weight, torch.randn(48).bfloat16(), Activation("relu"), **options)


def in_two_steps() -> Work:
    """One launch writes what the next one reads, half of it."""
    x, y, middle, stored = torch.zeros(128), torch.zeros(1), torch.zeros(64), torch.rand(80)
    add, total = tiny.adding(64), tiny.summing(32, is_cooperative=True)
    moved = {"x_ptr": x[64:], "y_ptr": middle, "bias_ptr": stored[16:]}
    launches = [
        replace(add, arguments={**add.arguments, **moved}),
        replace(total, arguments={"x_ptr": middle[32:], "y_ptr": y, "size": 32}),
    ]
    tensors = {"input": x, "output": y, "net:scale": stored[:16], "net:bias": stored[16:]}
    return Work("net", "own", 1, {}, launches, tensors)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Work], list[Any]]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle") / "kernels"
    work = [*plan([layer()], (1, 16)), in_two_steps()]
    return folder, work, write_cubins(work, folder, "sm_90")


def index(folder: Path) -> list[Any]:
    launches: list[Any] = json.loads((folder / INDEX).read_text())["launches"]
    return launches


def sizes_of_parameters(cubin: Path) -> list[int]:
    """As the cubin itself says, in order."""
    tool = language.triton.knobs.nvidia.cuobjdump.path
    text = subprocess.run([tool, "-elf", cubin], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"Ordinal : 0x(\w+)\s+Offset  : 0x\w+\s+Size    : 0x(\w+)", text)
    assert found
    return [int(size, 16) for _, size in sorted(found, key=lambda pair: int(pair[0], 16))]


def test_the_folder_holds_what_the_index_names_and_nothing_else(
    written: tuple[Path, list[Work], list[Any]],
) -> None:
    folder, work, rows = written
    launches = index(folder)
    assert [row["cubin"] for row in rows] == [launch["cubin"] for launch in launches]
    names = {launch["cubin"] for launch in launches}
    assert {path.name for path in folder.iterdir()} == {*names, INDEX, PACKED}
    assert json.loads(json.dumps(rows)) == rows
    assert len(rows) == sum(len(one.launches) for one in work)


def test_arguments_are_those_that_the_cubin_takes(
    written: tuple[Path, list[Work], list[Any]],
) -> None:
    folder, _, _ = written
    for launch in index(folder):
        sizes = [8 if one["type"][0] == "*" else SIZES[one["type"]] for one in launch["arguments"]]
        assert sizes == sizes_of_parameters(folder / launch["cubin"])
        last = launch["arguments"][-2:]
        assert [one["name"] for one in last] == list(HIDDEN)
        assert all((one["is"], one["bytes"]) == ("scratch", 0) for one in last)


def test_tensors_that_arguments_name_are_stored(
    written: tuple[Path, list[Work], list[Any]],
) -> None:
    folder, work, _ = written
    stored = load_file(folder / PACKED)
    given = {name: tensor for one in work for name, tensor in one.tensors.items()}
    named = {
        one["tensor"] for launch in index(folder) for one in launch["arguments"]
        if one["is"] == "packed"
    }  # fmt: skip
    assert named <= stored.keys() == given.keys() - {"input", "output"}
    assert all(torch.equal(stored[name], given[name]) for name in stored)


def test_what_each_argument_means(written: tuple[Path, list[Work], list[Any]]) -> None:
    folder, _, _ = written
    first, second = (launch for launch in index(folder) if launch["layer"] == "net")
    what = {one["name"]: one for one in first["arguments"]}
    assert what["x_ptr"] == {
        "name": "x_ptr", "type": "*fp32", "is": "input", "offset": 256, "shape": [64],
        "strides": [1], "aligned": 16,
    }  # fmt: skip
    assert (what["bias_ptr"]["tensor"], what["bias_ptr"]["offset"]) == ("net:bias", 0)
    assert what["size"] == {"name": "size", "type": "i32", "is": "number", "value": 64}
    assert what["scale"] == {"name": "scale", "type": "fp32", "is": "number", "value": 2.0}
    assert "stride" not in what
    passed = next(one for one in second["arguments"] if one["name"] == "x_ptr")
    assert (what["y_ptr"]["is"], what["y_ptr"]["bytes"]) == ("work", 256)
    assert passed["tensor"] == what["y_ptr"]["tensor"]
    assert (passed["offset"], what["y_ptr"]["offset"]) == (128, 0)
    assert (first["is_cooperative"], second["is_cooperative"]) == (False, True)
    assert first["grid"] == [2, 1, 1]
    assert first["block"] == [32, 1, 1]
    assert second["block"] == [128, 1, 1]


def test_a_folder_is_written_anew(written: tuple[Path, list[Work], list[Any]]) -> None:
    folder, work, _ = written
    before = (folder / INDEX).read_bytes()
    broken = Launch(tiny.broken, (1,), {"x_ptr": torch.zeros(16)}, {"BLOCK": 16})
    with pytest.raises(DeployError, match="broken"):
        write_cubins([Work("net", "own", 1, {}, [broken], {})], folder, "sm_90")
    assert (folder / INDEX).read_bytes() == before
    write_cubins(work[-1:], folder, "sm_90")
    assert len(list(folder.glob("*.cubin"))) == 2


def test_the_fast_kernel_that_reads_the_fewest_bytes_is_taken() -> None:
    fast = [kernel for kernel in KERNELS if KERNELS[kernel].aim == "speed"]
    linear = [kernel for kernel in fast if KERNELS[kernel].op == "linear"]
    weight = layer().weight
    held = [kernel for kernel in linear if not KERNELS[kernel].refuses(weight)]
    (work,) = plan([layer(sides=(14, 14))], (4,))
    assert KERNELS[work.kernel].pack(weight).bytes == min(
        KERNELS[kernel].pack(weight).bytes for kernel in held
    )
    assert work.batch == 4
    assert work.tensors["input"].shape == (4, 96)
    assert work.tensors["output"].shape == (4, 48)


def test_a_convolution_of_1x1_may_be_a_product_over_positions() -> None:
    whole = layer().weight[:, :, None, None]
    window = Window(stride=(2, 2))
    (work,) = plan([Layer("conv", whole, window=window, sides=(9, 7), kernels=["sell"])], (3,))
    assert work.batch == 3
    assert work.tensors["input"].shape == (3 * 5 * 4, 96)
    assert work.tensors["output"].shape == (3 * 5 * 4, 48)
    padded = Layer("conv", whole, window=Window(padding=(1, 1)), sides=(9, 7), kernels=["sell"])
    with pytest.raises(DeployError, match="sell: is for linear"):
        list(plan([padded], (3,)))


def test_a_kernel_can_be_asked_for_and_may_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = layer(kernels=["sell"])
    assert [work.kernel for work in plan([asked], (1, 2))] == ["sell", "sell"]
    flat = Layer("flat", torch.zeros(4, 4, 3, 3), kernels=["sell"])
    with pytest.raises(DeployError, match=r"^flat: .*sell: is for linear$"):
        list(plan([flat], (1,)))
    monkeypatch.setattr(type(KERNELS["sell"]), "refuses", lambda kernel, weight: "too wide")
    with pytest.raises(DeployError, match=r"^fc1: there is no kernel for it: sell: too wide$"):
        list(plan([asked], (1,)))
