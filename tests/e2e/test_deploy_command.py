"""``pruneflow deploy``: from a finished run to a bundle and a page, and what hurried people do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pruneflow import load
from pruneflow.deploy.bundles import bundle as bundles
from tests.deploy.fakes import Clock, clock, register
from tests.deploy.gpu import gpu_is_absent
from tests.deploy.reports import require_sound
from tests.e2e import command
from tests.e2e.command import process, read, run, tiny
from tests.report.pages import require_self_contained, taken

__all__ = ["clock", "register"]

QUICK = ("deploy.seconds=0.02", "deploy.batches=[1,16]", "deploy.threads=1",
         "deploy.candidates=[torch,onnxruntime,c]")  # fmt: skip
INSTANT = ("deploy.seconds=0", "deploy.batches=1", "deploy.threads=1", "deploy.candidates=torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, ``done``, trained once for all tests."""
    return command.trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def done(trained: Path) -> Path:
    """The finished run, for this test alone."""
    shutil.copytree(trained, "done")
    return Path("done")


def files(folder: Path) -> dict[Path, bytes]:
    """Everything below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- what works ------------------------------------------------------------------------------


def test_a_run_becomes_a_bundle_and_a_page(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(done)
    assert run("deploy", "run=done", *QUICK) == 0
    said = capsys.readouterr().out
    assert "Bundle: done/deploy/bundle.safetensors\nReport: done/deploy/report.html\n" in said
    assert {path: data for path, data in files(done).items() if path in before} == before
    folder = done / "deploy"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle.safetensors", "report.html", "report.json",
    ]  # fmt: skip
    require_self_contained((folder / "report.html").read_text())
    assert "tiny" in taken((folder / "report.html").read_text()).text
    report, result = read(folder / "report.json"), read(done / "result.json")
    require_sound(report, folder)
    assert report["source"] == {
        "run": "done", "recipe": "tiny", "model": "lenet_300_100", "data": "digits", "seed": 0,
    }  # fmt: skip
    assert report["name"] == "tiny"
    assert report["sparsity"] == pytest.approx(result["sparsity"])
    assert report["accuracy"]["split"] == "val"
    assert report["accuracy"]["drop"] == 0
    assert [(c["batch"], c["threads"]) for c in report["latency"]] == [(1, 1), (16, 1)]
    weights = load_file(done / "pruned.safetensors")
    held = bundles.read(folder / "bundle.safetensors").tensors
    assert all(torch.equal(held[name.removeprefix("net.")], w) for name, w in weights.items())
    loaded = load(folder)
    assert loaded.preprocessing == {
        "divide_by": 16, "resize": [28, 28], "interpolation": "bilinear",
    }  # fmt: skip
    x = torch.rand(5, 1, 28, 28)
    torch.testing.assert_close(loaded(x), load(folder, backend="torch")(x), rtol=1e-4, atol=1e-4)


def test_a_bundle_runs_in_a_process_that_knows_nothing_of_the_run(done: Path) -> None:
    assert run("deploy", "run=done", *INSTANT) == 0
    shutil.move("done/deploy/bundle.safetensors", "mine.safetensors")
    shutil.rmtree("done")
    Path("use.py").write_text(
        "import pruneflow, torch\n"
        "print(pruneflow.load('mine.safetensors')(torch.ones(2, 1, 28, 28)).shape)\n"
    )
    told = subprocess.run([sys.executable, "use.py"], capture_output=True, text=True, check=True)
    assert told.stdout == "torch.Size([2, 10])\n"


def test_a_second_time_replaces_the_first(done: Path, clock: Clock) -> None:
    assert run("deploy", "run=done", *INSTANT) == 0
    first = read(done / "deploy/report.json")
    assert run("deploy", "run=done/", "deploy.goal=size", *INSTANT) == 0
    second = read(done / "deploy/report.json")
    require_sound(second, done / "deploy")
    assert second["bundle"]["bytes"] < first["bundle"]["bytes"] / 2
    assert (first["values"], second["values"]) == ("fp32", "int8")
    assert {layer["layout"] for layer in second["layers"]} <= {"rice", "gaps8", "bitmask"}


def test_kernels_are_compiled_for_a_gpu_that_is_elsewhere(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton")
    ask = ("deploy.target=cubin", "deploy.arch=sm_80", "deploy.precision=bf16", "deploy.batches=1",
           "deploy.max_accuracy_drop=100")  # fmt: skip
    assert run("deploy", "run=done", *ask) == 0
    assert "kernels for sm_80 were compiled ahead of time" in capsys.readouterr().out.replace(
        "\n", " "
    )
    report, index = read(done / "deploy/report.json"), read(done / "deploy/kernels/kernels.json")
    require_sound(report, done / "deploy")
    assert report["latency"] == []
    layers = {row["layer"] for row in report["kernels"]}
    assert layers == {"fc1", "fc2", "fc3", "whole network"}
    for row in index["launches"]:
        assert (done / "deploy/kernels" / row["cubin"]).read_bytes()[:4] == b"\x7fELF"
    assert "Compiled ahead of time" in taken((done / "deploy/report.html").read_text()).text


def test_every_run_of_a_sweep_and_those_that_cannot(
    done: Path, capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    for name in ("0", "1", "2", "10"):
        shutil.copytree(done, Path("sweep") / name)
    Path("sweep/1/pruned.safetensors").write_bytes(b"x")
    Path("sweep/2/result.json").unlink()
    assert run("deploy", "run=sweep", *INSTANT) == 2
    said = capsys.readouterr()
    assert "pruneflow: sweep/1: sweep/1/pruned.safetensors: is damaged" in said.err
    assert "pruneflow: sweep/2: not deployed, for this run is not finished" in said.err
    found = sorted(str(path.parent.parent) for path in Path("sweep").glob("*/*/bundle.safetensors"))
    assert found == ["sweep/0", "sweep/10"]
    assert all(Path(folder, "deploy/report.html").is_file() for folder in found)
    assert run("report", "sweep") == 0


@pytest.mark.parametrize("name", ["o ut", "a=b", "out/deep/er", "5", "(x)", "ä"])
def test_it_goes_where_it_is_told(
    done: Path, clock: Clock, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("deploy", "run=done", f"out={name}", *INSTANT) == 0
    assert f"Report: {name}/report.html" in capsys.readouterr().out
    assert len(list(Path(name).iterdir())) == 3
    assert not (done / "deploy").exists()


@pytest.mark.parametrize("name", ["do ne", "a=b,c", "x(1)", "'q"])
def test_folders_of_any_name(done: Path, clock: Clock, name: str) -> None:
    done.rename(name)
    quoted = f'run="{name}"' if "'" in name else f"run={name}"
    assert run("deploy", quoted, *INSTANT) == 0
    assert Path(name, "deploy/report.html").is_file()


def test_help_is_there_and_quick(capsys: pytest.CaptureFixture[str]) -> None:
    start = time.process_time()
    assert run("deploy", "--help") == 0
    said = capsys.readouterr().out
    for word in ("run=FOLDER", "deploy.goal=balanced", "latency", "deploy.values=int8", "batches:"):
        assert word in said
    assert time.process_time() - start < 10
    told = process("deploy", "--help")
    assert (told.returncode, told.stderr) == (0, "")


def test_help_imports_no_torch() -> None:
    told = process("deploy", "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "hydra" in told.stderr
    assert not [line for line in told.stderr.splitlines() if line.split("|")[-1].strip() == "torch"]


def test_an_explicit_backend_that_cannot_run_leaves_the_old_bundle(
    done: Path, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("deploy", "run=done", *INSTANT) == 0
    before = files(done)
    monkeypatch.setattr(
        "pruneflow.deploy.backends.onnx.OnnxRuntime.missing", lambda self: "not installed: pip"
    )
    assert run("deploy", "run=done", "deploy.backend=onnxruntime", *INSTANT) == 2
    assert capsys.readouterr().err == "pruneflow: deploy.backend=onnxruntime: not installed: pip\n"
    assert files(done) == before


def test_a_bundle_that_lost_too_much_is_not_written(
    done: Path, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([0.9722, 0.9])
    monkeypatch.setattr(
        "pruneflow.deploy.accuracy.Classification.__call__", lambda *_: next(shares)
    )
    assert run("deploy", "run=done", "deploy.values=int8", *INSTANT) == 2
    told = capsys.readouterr().err
    assert "deploy.values=int8: the accuracy on validation data would fall from 97.22%" in told
    assert "to 90.00%, by more than deploy.max_accuracy_drop=0.5 points" in told
    assert not (done / "deploy").exists()


# -- networks and data of one's own ----------------------------------------------------------

NETS = """\
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

class Net(LightningModule):
    def __init__(self, outputs=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.{activation}(), nn.Linear(16, outputs))
        self.outputs = outputs
    def forward(self, x):
        return self.body(x)
    def training_step(self, batch, index):
        y = self(batch[0])
        return F.cross_entropy(y, batch[1]) if self.outputs > 1 else y.square().mean()
    def validation_step(self, batch, index):
        self.training_step(batch, index)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Data(LightningDataModule):
    def __init__(self):
        super().__init__()
        x = torch.linspace(-1, 1, 512).reshape(64, 8)
        self.pairs = TensorDataset(x, torch.arange(64) % 3)
        self.preprocessing = lambda image: image
    def train_dataloader(self):
        return DataLoader(self.pairs, 16)
    val_dataloader = train_dataloader
"""


def own_run(name: str, *arguments: str, activation: str = "ReLU") -> int:
    """Train a network of one's own; the exit code."""
    Path(f"{name}.py").write_text(NETS.replace("{activation}", activation))
    tiny()
    return run(
        "train", "recipe=tiny", f"model.module={name}:Net", f"data.module={name}:Data",
        "sparsity=0.5", "hydra.run.dir=mine", *arguments,
    )  # fmt: skip


def test_a_module_of_ones_own_with_labels(clock: Clock) -> None:
    assert own_run("labelled_net") == 0
    assert (
        run("deploy", "run=mine", *INSTANT, "deploy.values=int8", "deploy.max_accuracy_drop=100")
        == 0
    )
    report = read(Path("mine/deploy/report.json"))
    require_sound(report, Path("mine/deploy"))
    assert report["accuracy"]["samples"] == 64
    assert report["source"]["model"] == "labelled_net:Net"


def test_a_module_of_ones_own_that_is_no_graph(clock: Clock) -> None:
    assert own_run("opaque_net", activation="Softplus") == 0
    assert run("deploy", "run=mine", *INSTANT) == 0
    report = read(Path("mine/deploy/report.json"))
    require_sound(report, Path("mine/deploy"))
    assert not report["graph"]
    from opaque_net import Net

    net = Net()
    loaded = load("mine/deploy", into=net)
    x = torch.rand(3, 8)
    with torch.no_grad():
        assert torch.equal(loaded(x), net.eval()(x))


def test_a_module_of_ones_own_that_is_no_classifier(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own_run("regression_net", "+model.args.outputs=1") == 0
    assert run("deploy", "run=mine", *INSTANT) == 0
    assert read(Path("mine/deploy/report.json"))["accuracy"] is None
    capsys.readouterr()
    assert run("deploy", "run=mine", "deploy.values=fp16", *INSTANT) == 2
    assert "there is no validation data" in capsys.readouterr().err


# -- what hurried people do ------------------------------------------------------------------

MISTAKES = [
    ([], "deploy what? Write run=FOLDER"),
    (["run="], "deploy what? Write run=FOLDER"),
    (["run=null"], "deploy what? Write run=FOLDER"),
    (["run=done", "~run"], "deploy what? Write run=FOLDER"),
    (["done"], "write 'run=done' to deploy the run in done"),
    (["nowhere"], "'nowhere' is neither a flag nor key=value"),
    (["run=nowhere"], "nowhere: no such folder"),
    (["run=dome"], "dome: no such folder. Did you mean 'done'?"),
    (["run=done/plan.json"], "done/plan.json: is a file, give the folder of a run"),
    (["run=empty"], "empty: there is no run in it"),
    (["run=done", "-m"], "deploy takes no -m; run=FOLDER may be a sweep"),
    (["run=done,other"], "deploy takes one value for each key; run=FOLDER may be a sweep"),
    (["run=done", "deploy.goal=size,latency"], "deploy takes one value for each key"),
    (["run=done", "goal=size"], "write 'deploy.goal=size'"),
    (["run=done", "+backend=c"], "write 'deploy.backend=c'"),
    (["run=done", "rum=x"], "no key 'rum'. Did you mean 'run'?"),
    (["run=done", "deploi.goal=size"], "no key 'deploi'. Did you mean 'deploy'?"),
    (["run=done", "deploy.gaol=size"], "no key 'deploy.gaol'. Did you mean 'goal'?"),
    (["run=done", "+deploy.foo=1"], "no key 'deploy.foo'. Allowed: activations, arch, b"),
    (["run=done", "+foo=1"], "no key 'foo'. Allowed: deploy, hydra, out, run, trust."),
    (["run=done", "recipe=tiny"], "no key 'recipe'. Allowed: deploy, hydra, out, run, trust."),
    (["run=done", "sparsity=0.9"], "no key 'recipe'"),
    (["run=done", "model=lenet5"], "no key 'model'"),
    (["run=done", "deploy=size"], "deploy: needs goal, values, backend"),
    (["run=done", "deploy.goal=sise"], "deploy.goal: 'sise' is unknown. Did you mean 'size'?"),
    (["run=done", "deploy.values=int4"], "Did you mean 'int8'? Allowed: auto, bf16, fp16"),
    (["run=done", "deploy.backend=onnx"], "deploy.backend: 'onnx' is unknown. Allowed: auto, c,"),
    (["run=done", "deploy.candidates=[c,trch]"], "Did you mean 'torch'?"),
    (["run=done", "deploy.batches=null"], "deploy.batches: name at least one whole number"),
    (["run=done", "deploy.batches=0"], "deploy.batches: '0' is no whole number from 1"),
    (["run=done", "deploy.batches={a:1}"], "deploy.batches"),
    (["run=done", "deploy.threads=100000"], "the cores of this machine"),
    (["run=done", "deploy.seconds=inf"], "deploy.seconds: 'inf' is no number from 0"),
    (["run=done", "deploy.max_accuracy_drop=-1"], "deploy.max_accuracy_drop: '-1' is no number"),
    (["run=done", "deploy.goal=${nothing}"], "Interpolation key 'nothing' not found"),
    (["run=done", "--nonsense"], "--nonsense"),
    (["run=done", "device=cuda"], "write 'deploy.device=cuda'"),
    (["run=done", "deploy.device=gpu"], "deploy.device: 'gpu' is unknown. Did you mean 'cuda'?"),
    (["run=done", "deploy.precision=bf16"], "compute in fp32; add deploy.device=cuda"),
    (["run=done", "deploy.target=cubin", "deploy.arch=sm90"], "Did you mean 'sm_90'?"),
    (["run=done", "out=done/plan.json"], "done/plan.json: cannot be written: File exists"),
    (["run=done", "out=done/plan.json/x"], "cannot be written: Not a directory"),
    (["run=done", "out=/proc/nowhere"], "/proc/nowhere: cannot be written"),
    (["run=other"], "other: this run is not finished; go on with: pruneflow train run=other"),
    (["run=an other"], "go on with: pruneflow train 'run=an other' ckpt_path=last"),
    (["run=both", "out=here"], "out=here has room for one run, but both holds 2"),
]


@pytest.mark.parametrize(("arguments", "mend"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_with_its_mend(
    done: Path, clock: Clock, arguments: list[str], mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    for name in ("both/0", "both/1"):
        shutil.copytree("done", name)
    for name in ("other", "an other"):
        Path(name).mkdir()
        shutil.copy("done/run.lock.yaml", name)
    before = files(Path())
    small = INSTANT if any(word.startswith("out=") for word in arguments) else ()
    code = run("deploy", *arguments, *small)
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert (code, "Traceback" in said) == (2, False), said
    assert mend in captured.err
    assert files(Path()) == before
    assert not Path("done/deploy").exists()


@gpu_is_absent
def test_a_gpu_that_is_not_there_is_said_to_be_missing(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(Path())
    assert run("deploy", "run=done", "deploy.device=cuda") == 2
    said = capsys.readouterr().err
    assert "there is no GPU here that torch can use" in said
    assert "deploy.target=cubin deploy.arch=sm_90" in said
    assert files(Path()) == before


DAMAGE = [
    ("pruned.safetensors", None, "pruned.safetensors: cannot be read: No such file"),
    ("pruned.safetensors", b"x" * 50, "pruned.safetensors: is damaged: "),
    ("result.json", b"{", "result.json: is damaged"),
    ("result.json", b"{}", "result.json: is damaged: it does not say 'recipe'"),
    ("run.lock.yaml", b"a: [", "run.lock.yaml: is damaged"),
    ("run.lock.yaml", b"[1]", "run.lock.yaml: is damaged"),
]


@pytest.mark.parametrize(("name", "content", "words"), DAMAGE)
def test_a_damaged_run_is_named(
    done: Path, name: str, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        (done / name).unlink()
    else:
        (done / name).write_bytes(content)
    assert run("deploy", "run=done", *INSTANT) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pruneflow: done/{words}")
    assert not (done / "deploy").exists()


def test_weights_that_are_no_numbers_or_another_networks(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = done / "pruned.safetensors"
    weights = load_file(path)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] * torch.nan}, path)
    assert run("deploy", "run=done", *INSTANT) == 2
    assert "of its numbers are NaN or infinite" in capsys.readouterr().err
    save_file({**weights, name: weights[name][:5].clone()}, path)
    assert run("deploy", "run=done", *INSTANT) == 2
    assert (
        "done/pruned.safetensors: is another network's: fc1.bias cannot have the shape"
        in capsys.readouterr().err
    )


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_timed(
    done: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        Path("done/deploy").write_text("a file in the way")
    else:
        Path("done").chmod(0o500)
    assert run("deploy", "run=done", *INSTANT) == 2
    assert "done/deploy: cannot be written" in capsys.readouterr().err
    assert clock.timed == set()
    Path("done").chmod(0o700)


def test_what_is_printed_of_a_report_is_what_stands_in_it(
    done: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("deploy", "run=done", *INSTANT) == 0
    said = " ".join(capsys.readouterr().out.split())
    report = json.loads((done / "deploy/report.json").read_text())
    assert f"{report['bundle']['bytes']:,} bytes" in said
    assert report["verdict"]["why"] in said
