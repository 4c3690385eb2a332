"""What a hurried person gets wrong on the command line: exit code 2, the mend, no traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.e2e.command import run, tiny

MISTAKES = [
    (["trian"], "Did you mean 'train'?"),
    (["train"], "no recipe given; write recipe=NAME"),
    (["train", "gradual"], "Did you mean 'recipe=gradual'?"),
    (["train", "recip=gradual"], "Did you mean 'recipe'?"),
    (["train", "recipe=gradul"], "Did you mean 'gradual'?"),
    (["train", "recipe=./none.yaml"], "no recipe file './none.yaml'"),
    (["train", "recipe=tiny.yaml.bak"], "no recipe 'tiny.yaml.bak'"),
    (["train", "recipe=../tiny"], "outside this folder"),
    (["train", "recipe=/etc/passwd"], "outside this folder"),
    (["train", "recipe=tiny", "modle=lenet5"], "Did you mean 'model'?"),
    (["train", "recipe=tiny", "model=lenet"], "no 'lenet' in model. Did you mean 'lenet5'?"),
    (["train", "recipe=tiny", "model.name=lenet"], "Did you mean 'lenet5'?"),
    (["train", "recipe=tiny", "model.nmae=lenet5"], "model.nmae"),
    (["train", "recipe=tiny", "model.module=nowhere:Net"], "cannot import 'nowhere'"),
    (["train", "recipe=tiny", "model.module=json:loads"], "names no class"),
    (["train", "recipe=tiny", "model.module=json:JSONDecoder"], "is no LightningModule"),
    (["train", "recipe=tiny", "+model.args.width=3"], "does not take these arguments"),
    (["train", "recipe=tiny", "optimizer.name=sdg"], "Did you mean 'sgd'?"),
    (["train", "recipe=tiny", "optimizer.scheduler=cosin"], "Did you mean 'cosine'?"),
    (["train", "recipe=tiny", "+optimizer.betas=3"], "optimizer"),
    (["train", "recipe=tiny", "logger=tensorbord"], "Did you mean 'tensorboard'?"),
    (["train", "recipe=tiny", "logger.name=tensorbord"], "Did you mean 'tensorboard'?"),
    (["train", "recipe=tiny", "logger.name=wandb"], "write logger=wandb, which brings it"),
    (["train", "recipe=tiny", "logger=wandb", "+logger.ofline=true"], "Did you mean 'offline'?"),
    (["train", "recipe=tiny", "logger=wandb", "logger.offline=si"], "needs true or false"),
    (["train", "recipe=tiny", "+trainer.acelerator=cpu"], "Did you mean 'accelerator'?"),
    (["train", "recipe=tiny", "+trainer.precison=bf16"], "Did you mean 'precision'?"),
    (["train", "recipe=tiny", "trainer.accelerator=tpu"], "Allowed: auto, cpu, cuda, gpu, mps."),
    (["train", "recipe=tiny", "trainer.precision=bf16"], "Did you mean 'bf16-mixed'?"),
    (["train", "recipe=tiny", "trainer.precision=16-mixed"], "write trainer.precision=bf16-mixed"),
    (["train", "recipe=tiny", "trainer.deterministic=1"], "Allowed: false, true, warn."),
    (["train", "recipe=tiny", "trainer.benchmark=yess"], "Allowed: false, null, true."),
    (["train", "recipe=tiny", "seed=-1"], "seed=-1: needs a whole number from 0"),
    (["train", "recipe=tiny", "seed=[1,2]"], "for several runs: seed=1,2 -m"),
    (["train", "recipe=tiny", "seed=1,2"], "add -m"),
    (["train", "recipe=tiny", "seed=a"], "seed=a: needs a whole number from 0"),
    (["train", "recipe=tiny", "trainer.max_epochs=2ep"], "needs a whole number from 0"),
    (["train", "recipe=tiny", "trainer.max_epochs=5.5"], "needs a whole number from 0"),
    (["train", "recipe=tiny", "trainer.threads=0"], "needs a whole number from 1"),
    (["train", "recipe=tiny", "checkpoint.keep=0"], "needs a whole number from 1"),
    (["train", "recipe=tiny", "length=4ep"], "write 'recipe.length=4ep'"),
    (["train", "recipe=tiny", "targets=[fc1]"], "write 'recipe.targets=[fc1]'"),
    (["train", "recipe=tiny", "sparsity=90"], "90 % is written 0.9"),
    (["train", "recipe=tiny", "sparsity="], "sparsity"),
    (["train", "recipe=tiny", "sparsity=0.5,0.9"], "add -m"),
    (["train", "recipe=fine_tune_only", "sparsity=0.5"], "does not use a sparsity"),
    (["train", "recipe=tiny", "recipe.length=1ep"], "it needs a length of 3ep"),
    (["train", "recipe=tiny", "trainer.max_epochs=1"], "it needs a length of 3ep"),
    (["train", "recipe=tiny", "data=mnist", "data.root=nothing_here"], "data.root=FOLDER"),
    (["train", "recipe=tiny", "data.batch_size=0"], "batch_size"),
    (["train", "recipe=tiny", "model.weights=none.safetensors"], "none.safetensors"),
    (["train", "recipe=tiny", "ckpt_path=last"], "nothing to continue"),
    (["train", "recipe=tiny", "ckpt_path=none.ckpt"], "no file 'none.ckpt'"),
    (["train", "run=nowhere"], "nowhere"),
    (["train", "run=nowhere", "seed=3"], "would change it"),
    (["train", "recipe=tiny", "--config-dir", "nowhere"], "no folder 'nowhere'"),
    (["train", "recipe=tiny", "--experimental-rerun", "x.pickle"], "run=FOLDER"),
    (["train", "recipe=tiny", "--nonsense"], "--nonsense"),
    (["train", "recipe='../tiny'"], "outside this folder"),
    (["train", "recipe=tiny", "trainer.devices=0"], "devices=0: needs a whole number from 1"),
    (["train", "recipe=tiny", "trainer.devices=9999"], "are the most"),
    (["train", "recipe=tiny", "trainer.devices=[0,1]"], "a CPU has no numbered devices"),
    (["train", "recipe=tiny", "+trainer.strategy=ddp"], "trainer.devices=N trains in N processes"),
    (["train", "recipe=tiny", "+trainer.num_nodes=2"], "processes of one machine"),
    (["_worker", "task.json"], "_worker is what trainer.devices=2 starts"),
    (["train", "recipe=tiny", "+trainer.logger=false"], "write logger=csv or logger=none"),
    (["train", "recipe=tiny", "+trainer.max_steps=10"], "it needs a length of 3ep"),
    (["plan", "recipe=tiny", "recipe.length=50000000ep"], "1,000,000,000 steps, more than"),
    (["plan", "recipe=tiny", "hydra.run.dir=recipes/tiny.yaml/x"], "x: cannot be written: Not a"),
    (["train", "recipe=tiny", "hydra.run.dir=recipes/tiny.yaml/x"], "x: cannot be written: Not a"),
    (["train", "recipe=tiny", "-m", "hydra.sweep.dir=recipes/tiny.yaml"], "cannot be written"),
    (["train", "recipe=tiny", "imports=[broken]"], "broken.py:2: SyntaxError"),
    (["train", "recipe=tiny", "imports=[failing]"], "failing.py:3: NameError: name 'nothing'"),
    (["train", "recipe=tiny", "imports=[needy]"], "needy.py:1: ModuleNotFoundError"),
    (["plan", "recipe=tiny", "recipe.modifiers.prune.every=3"], "3 has no unit"),
    (["train", "recipe=tiny", "model.args=null"], "model.args=None: needs names and values"),
    (["train", "recipe=tiny", "data.args=x"], "data.args=x: needs names and values"),
    (["train", "recipe=tiny", "model.name=[a]"], "model.name=['a']: needs text"),
    (["train", "recipe=tiny", "model.module=3"], "model.module=3: needs text"),
    (["train", "recipe=tiny", "~model.name"], "model.name: is missing, and a run needs it"),
    (["train", "recipe=tiny", "~trainer"], "trainer: is missing, and a run needs it"),
    (["train", "recipe=tiny", "~seed"], "seed: is missing, and a run needs it"),
    (["train", "recipe=tiny", "checkpoint=null"], "checkpoint=None: needs keys and values"),
    (["train", "recipe=tiny", "imports=3"], "imports=3: needs a list of modules"),
    (["train", "recipe=tiny", "imports=[3]"], "needs a list of modules, e.g. [my_words]"),
    (["train", "recipe=tiny", "+trainer.max_steps=x"], "max_steps=x: needs a whole number"),
    (["train", "recipe=tiny", "+trainer.limit_train_batches=x"], "or a share from 0.0 to 1.0"),
    (["plan", "recipe=tiny", "optimizer.lr=inf"], "optimizer.lr=inf: needs a finite number"),
    (["plan", "recipe=[{}]"], "what is chosen from a group, as by recipe= or model=, is a name"),
    (["plan", "recipe='${defaults}'"], "Hydra cannot compose this (AssertionError"),
    (["train", "recipe=tiny", "+=1"], "'+=1' names no key"),
    (["train", "recipe=tiny", "sparsity=range(0,1,1e-9)", "-m"], "more than 10,000 jobs"),
    (["train", "recipe=tiny", "seed=range(0,200)", "data.batch_size=range(1,99)", "-m"], "10,000"),
    (["train", "x" * 5000], "File name too long"),
    (["train", "recipe=" + "x" * 5000], "File name too long"),
    (["plan", "recipe=tiny", "ckpt_path=none.ckpt"], "no file 'none.ckpt'"),
    (["recipes", "shwo"], "Did you mean 'show'?"),
    (["recipes", "show"], "show what?"),
    (["recipes", "show", "prun"], "Did you mean 'prune'?"),
    (["recipes", "check", "nothing"], "no recipe 'nothing'"),
]


@pytest.mark.parametrize(("arguments", "mend"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_with_its_mend(
    arguments: list[str], mend: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("pooch.retrieve", _offline)
    tiny()
    Path("broken.py").write_text("x = 1\ndef f(:\n")
    Path("failing.py").write_text("x = 1\n\nprint(nothing)\n")
    Path("needy.py").write_text("import no_such_package\n")
    code = run(*arguments)
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert (code, "Traceback" in said) == (2, False), said
    assert mend in said


def test_a_broken_recipe_points_to_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    tiny("mine.yaml", "modifiers:\n  prune:\n    type: prune\n    sparsty: 0.9\n")
    assert run("train", "recipe=./mine.yaml") == 2
    assert "mine.yaml:4: modifiers.prune.sparsty" in capsys.readouterr().err
    assert run("recipes", "check", "mine.yaml") == 2
    assert "mine.yaml:4: modifiers.prune.sparsty" in capsys.readouterr().out


def test_a_mistake_leaves_nothing_behind() -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=2") == 2
    assert run("plan", "recipe=tiny", "ckpt_path=none.ckpt") == 2
    assert sorted(path.name for path in Path().iterdir()) == ["recipes"]


def test_a_full_disk_is_said_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pruneflow.runfolder.write_bytes", full)
    tiny()
    assert run("train", "recipe=tiny", "hydra.run.dir=mine") == 2
    assert (
        capsys.readouterr().err == "pruneflow: mine: cannot be written: No space left on device\n"
    )


def test_a_fault_in_a_persons_own_class_keeps_its_traceback() -> None:
    tiny()
    Path("nets.py").write_text(FAULTY)
    with pytest.raises(TypeError, match="unsupported operand"):
        run("train", "recipe=tiny", "model.module=nets:Faulty")


FAULTY = """\
from pytorch_lightning import LightningModule

class Faulty(LightningModule):
    def __init__(self):
        super().__init__()
        1 + "1"
"""


def _offline(*args: object, **kwargs: object) -> None:
    raise ConnectionError("there is no network in tests")
