"""Whatever decides what a run does is in its key; what does not is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruneflow.cli.arguments import parse
from pruneflow.cli.jobs import Composer
from pruneflow.training.planning import preview
from pruneflow.training.shared.key import key_of
from tests.e2e.command import tiny

NET = """\
from pruneflow.zoo.lenet import LeNet300100
from pruneflow.zoo.digits import Digits

class Data(Digits):
    def __init__(self, files="", **arguments):
        super().__init__(**arguments)

class Net(LeNet300100):
    pass
"""


def key(*overrides: str) -> str:
    tiny()
    parsed = parse(["recipe=tiny", *overrides])
    job = Composer("train", parsed).job(parsed.overrides)
    return key_of(job.config, preview(job.config).plan)


@pytest.mark.parametrize(
    "override",
    ["sparsity=0.5", "recipe.modifiers.finetune.factor=0.1", "logger=none", "fresh=true",
     "checkpoint.every_n_steps=3", "checkpoint.keep=5", "++recipe.length=9ep"],
)  # fmt: skip
def test_the_tail_of_the_recipe_is_not_in_it(override: str) -> None:
    assert key() == key(override)


@pytest.mark.parametrize(
    "override",
    ["seed=1", "model=lenet5", "data.batch_size=32", "data.augment.shift=1", "optimizer.lr=0.2",
     "optimizer=adam", "optimizer.scheduler=cosine", "trainer.threads=2",
     "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1",
     "trainer.accumulate_grad_batches=2", "++trainer.limit_train_batches=9",
     "++recipe.modifiers.prune.targets=[fc1]", "++recipe.length=170st"],
)  # fmt: skip
def test_all_else_is(override: str) -> None:
    assert key() != key(override)


def test_the_length_is_where_somebody_may_ask_for_it() -> None:
    longer = "++recipe.length=9ep"
    assert key("optimizer.scheduler=step") == key("optimizer.scheduler=step", longer)
    assert key("optimizer.scheduler=cosine") != key("optimizer.scheduler=cosine", longer)


def test_own_modules_may_ask_for_anything_and_read_files() -> None:
    Path("keyed_net.py").write_text(NET)
    Path("files").mkdir()
    Path("files/a").write_text("a")
    net = ("model.module=keyed_net:Net", "++model.args.optimizer={name:sgd,lr:0.1}")
    data = ("data.module=keyed_net:Data", "++data.args.files=files")
    longer = "++recipe.length=9ep"
    assert key(*net) != key(*net, longer)
    before = key(*data)
    assert before != key(*data, longer)
    assert before == key(*data)
    Path("files/a").write_text("other")
    assert before != key(*data)
