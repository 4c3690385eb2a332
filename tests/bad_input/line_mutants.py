"""Command lines with something wrong in them, made of right ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.bad_input.recipe_mutants import VALUES
from tests.bad_input.spoiling import misspelled

Words = list[str]

RIGHT: tuple[tuple[str, ...], ...] = (
    ("train", "recipe=gradual", "sparsity=0.9", "seed=1"),
    ("train", "recipe=lenet_imp", "sparsity=0.5,0.9", "-m"),
    ("train", "recipe=gradual,one_shot", "seed=0,1", "hydra.sweep.dir=out", "-m"),
    ("train", "recipe=./my.yaml", "trainer.max_epochs=4", "hydra.run.dir=out"),
    ("train", "recipe=gradual", "trainer.devices=2", "data.batch_size=64"),
    ("train", "recipe=lottery", "control=all", "sparsity=0.9", "-m"),
    ("train", "recipe=gradual", "budget.max_drop=0.5", "budget.runs=3"),
    ("train", "recipe=gradual", "model=lenet5", "data=digits", "optimizer=adamw", "logger=none"),
    ("train", "recipe=gradual", "seed=0,1", "hydra/launcher=joblib", "-m"),
    ("train", "run=done", "ckpt_path=last"),
    ("train", "recipe=my", "data.augment.shift=2", "data.augment.flip=true", "share=false"),
    ("plan", "recipe=gradual", "sparsity=0.95", "recipe.modifiers.prune.schedule=linear"),
    ("plan", "recipe=gradual", "~recipe.modifiers.freeze", "recipe.length=10ep"),
    ("plan", "recipe=gradual", "recipe/_parts@recipe.modifiers.finetune=finetune"),
    ("plan", "recipe=gradual", "sparsity=0.5", "recipe.modifiers.prune.granularity=2:4"),
    ("plan", "recipe=./my.yaml", "steps_per_epoch=10", "optimizer.lr=0.1", "seed=3"),
    ("plan", "recipe=gradual,one_shot", "sparsity=range(0.5,0.8,0.1)", "-m"),
    ("plan", "recipe=gradual", "recipe.targets=[fc1,fc2]", "model.name=lenet_300_100"),
    ("deploy", "run=done", "deploy.goal=size", "deploy.batches=[1,16]"),
    ("deploy", "run=done", "deploy.values=int8", "deploy.candidates=[torch,c]", "out=there"),
    ("report", "done", "-o", "page.html"),
    ("recipes", "show", "prune"),
    ("recipes", "check", "gradual", "./my.yaml"),
    ("recipes", "schema", "-o", "s.json"),
    ("recipes", "list"),
    ("init", "mine"),
    ("cache", "list"),
    ("completion", "bash"),
    ("_complete", "2", "pruneflow", "train", "recipe="),
    ("train", "--cfg", "job", "recipe=gradual"),
    ("plan", "--config-dir", "conf", "recipe=gradual"),
)
"""Command lines that are understood; the work that they ask for is not done here."""

EXTRA: tuple[str, ...] = (
    "trainer.devices=-1", "trainer.devices=1.5", "trainer.devices=auto", "trainer.devices=[]",
    "trainer.devices=1e9", "trainer.accelerator=tpu", "trainer.precision=8", "trainer=gpu",
    "trainer=nobody", "+trainer.nobody=1", "trainer.nobody=1", "trainer.max_epochs=-1",
    "trainer.max_epochs=1e9", "trainer.max_epochs=null", "+trainer.max_steps=x",
    "+trainer.max_time=x", "+trainer.callbacks=[1]", "trainer.threads=x", "trainer.threads=1e9",
    "+trainer.gradient_clip_val=x", "+trainer.val_check_interval=0", "trainer=null", "trainer=",
    "+trainer.limit_train_batches=-1", "+trainer.limit_train_batches=x",
    "trainer.accumulate_grad_batches=0", "trainer={}", "trainer.x.y=1", "seed=x", "seed=-1",
    "seed=1.5", "seed=1e99", "seed=[1]", "seed={a:1}", "seed=null", "seed=", "seed=0,1",
    "seed=range(0,3)", "seed=range(0,1000000000)", "seed=choice()", "seed=choice(1)",
    "seed=glob(*)", "seed=sort(3,1)", "seed=shuffle(1,2)", "seed=interval(0,1)",
    "seed=range(3,0)", "seed=range(0,1,0)", "seed=int(x)", "seed=nobody(1)",
    "sparsity=range(0,1,1e-9)", "sparsity=", "sparsity=x", "sparsity=90", "sparsity=-1",
    "sparsity=nan", "sparsity=.5", "sparsity=1/2", "sparsity=0.5,,0.9", "sparsity=,",
    "sparsity=[0.5]", "sparsity={fc1:0.5}", "sparsity=${seed}", "sparsity=${nobody}",
    "sparsity=null", "sparsity='0.5'", "sparsity==0.5", "+sparsity=0.5", "++sparsity=0.5",
    "~sparsity", "control=x", "control=all", "control=none,x", "model=nobody", "model=null",
    "model=", "model.name=null", "model.name=3", "model.name=[a]", "model.args.x=1",
    "+model.args.x=1", "model.args=3", "model.args=null", "model={}", "model.module=x",
    "model.module=x:y", "model.module=json:loads", "model.module=3", "model=3",
    "model.module=os:", "model.module=:x", "model.weights=nobody.pt", "model.weights=.",
    "model.weights=my.yaml", "data=nobody", "data=null", "data.name=x", "data.batch_size=0",
    "data.batch_size=x", "data.batch_size=-1", "data.batch_size=1e12", "data.batch_size=null",
    "data.root=my.yaml", "data.module=x:y", "data.args=x", "+data.args.x=1",
    "data.augment.shift=x", "data.augment.shift=-1", "data.augment.flip=3", "data.augment=x",
    "data.augment.nobody=1", "optimizer=nobody", "optimizer.name=x", "optimizer.lr=x",
    "optimizer.lr=-1", "optimizer.lr=nan", "optimizer.lr=inf", "optimizer.lr=null",
    "optimizer=null", "optimizer.lr=[1]", "optimizer.scheduler=x", "optimizer.scheduler=null",
    "optimizer.momentum=x", "+optimizer.betas=[1]", "+optimizer.nobody=1",
    "optimizer.momentum=-1", "~optimizer.lr", "logger=nobody", "logger=null", "logger.name=x",
    "+logger.nobody=1", "~logger", "~model", "~model.name", "~data", "~optimizer", "~trainer",
    "~trainer.devices", "~seed", "~hydra", "~checkpoint", "~budget", "~recipe", "~nobody", "~",
    "~=", "~recipe.modifiers", "~imports", "steps_per_epoch=0", "steps_per_epoch=x",
    "steps_per_epoch=1e30", "steps_per_epoch=1.5", "imports=x", "imports=[nobody]", "imports=[1]",
    "imports=[[a]]", "imports={a:1}", "imports=null", "imports=['']", "imports=['a b']",
    "imports=[..x]", "imports=[.]", "ckpt_path=x", "ckpt_path=.", "ckpt_path=last",
    "ckpt_path=my.yaml", "ckpt_path=3", "ckpt_path=[a]", "fresh=x", "fresh=3", "share=x",
    "budget=x", "budget=null", "budget.max_drop=x", "budget.max_drop=-1", "budget.max_drop=nan",
    "budget.runs=0", "budget.runs=x", "budget.runs=1e9", "budget.x=1", "checkpoint=x",
    "checkpoint=null", "checkpoint.keep=x", "checkpoint.keep=0", "checkpoint.x=1",
    "checkpoint.every_n_steps=-1", "checkpoint.every_n_steps=null", "recipe=", "recipe=nobody",
    "recipe=.", "recipe=./", "recipe=/", "recipe=..", "recipe=./conf", "recipe=/etc/passwd",
    "recipe=./broken.yaml", "recipe=../my.yaml", "recipe=null", "recipe=3", "recipe=[a]",
    "recipe={a:1}", "recipe=_parts/decay", "recipe=builtin/gradual", "recipe=~",
    "recipe=gradual,nobody", "recipe=gradual,", "recipe=,", "recipe='gradual",
    "recipe=gradual.yaml", "recipe=a/b/c", "recipe=./nobody.yaml", "recipe=./my",
    "recipe@x=gradual", "recipe=\udcff", "recipe=./\udcff.yaml", "recipe=ä", "recipe=🦙",
    "recipe=" + "x" * 5000, "recipe=a\nb", "recipe.length=x", "recipe.length=",
    "recipe.length=1ep,2ep", "recipe.nobody=1", "recipe.x.y=1",
    "recipe.modifiers.prune.schedul=linear", "recipe.modifiers.nobody.start=1ep",
    "recipe.modifiers.prune=null", "recipe.modifiers=null", "recipe.modifiers=[]",
    "recipe.vars.a=1", "recipe.modifiers.prune.sparsity=x",
    "recipe.modifiers.prune.start=${seed}", "recipe..x=1",
    "recipe.modifiers.prune.start=${oc.env:HOME}", "recipe.modifiers.prune.end=${hydra:job.num}",
    "+recipe.defaults=[x]", "recipe/_parts@recipe.modifiers.x=nobody", "recipe/_parts=decay",
    "recipe/_parts@x=decay", "recipe.targets=", "recipe.targets={names:3}", "recipe.targets=3",
    "recipe.modifiers.prune.targets=[nobody]", "recipe._target_=os.system", "+recipe.a b=1",
    "run=x", "run=.", "run=", "run=my.yaml", "run=null", "run=[a]", "run=done,done", "out=x",
    "deploy.goal=x", "deploy.batches=x", "deploy.batches=[]", "deploy.batches=[0]", "deploy=x",
    "deploy.batches=[1e99]", "deploy.threads=[x]", "deploy.threads=[0]", "deploy.seconds=-1",
    "deploy.seconds=nan", "deploy.seconds=x", "deploy.backend=x", "deploy.candidates=[x]",
    "deploy.candidates=x", "deploy.max_accuracy_drop=x", "deploy.device=tpu", "deploy.arch=x",
    "deploy.precision=x", "deploy.target=x", "deploy.values=x", "deploy.nobody=1", "goal=size",
    "deploy.activations=x", "deploy=null", "deploy.target=cubin", "~deploy", "~deploy.goal",
    "hydra=x", "hydra.nobody=1", "+hydra.nobody=1", "hydra.run.dir=", "hydra.run.dir=/dev/null/x",
    "hydra.run.dir=my.yaml", "hydra.run.dir=${nobody}", "hydra.run.dir=3", "hydra.run.dir=null",
    "hydra.run.dir=[a]", "hydra.sweep.dir=/dev/null/x", "hydra.sweep.dir=my.yaml",
    "hydra.sweep.dir=${nobody}", "hydra.sweep.subdir=${nobody}", "hydra.sweep.dir=",
    "hydra.launcher.n_jobs=x", "hydra/launcher=nobody", "hydra/launcher=ray",
    "hydra/sweeper=nobody", "hydra/sweeper=optuna", "hydra.sweeper.params=x",
    "+hydra.sweeper.params.seed=1,2", "hydra.sweeper.max_batch_size=x", "hydra.mode=x",
    "hydra.mode=MULTIRUN", "hydra.verbose=x", "hydra.job.chdir=x", "hydra.job.name=",
    "hydra.job.num=x", "hydra.searchpath=x", "hydra.searchpath=[nowhere]",
    "hydra.searchpath=[file://nowhere]", "hydra.output_subdir=3", "hydra/job_logging=nobody",
    "hydra/output=x", "hydra.callbacks=x", "hydra.help.template=${x}",
    "hydra.launcher._target_=nobody.x", "hydra.sweeper._target_=nobody", "hydra.job.config.x=1",
    "hydra.runtime.cwd=/", "hydra.job_logging=x", "hydra/hydra_logging=disabled", "hydra:x=1",
    "-m", "-m", "-m", "--multirun", "-r", "--run", "-c", "--cfg", "--cfg=x", "-c=job",
    "--package", "-p=x", "--info", "--info=x", "-i", "-sc", "-sc=x", "--config-dir=nowhere",
    "-cd", "--resolve", "--config-name=nobody", "-cn", "-cn=gradual", "--config-path=nowhere",
    "-cp", "--hydra-help", "--help", "-h", "--version", "--experimental-rerun=x", "--nonsense",
    "-x", "--", "-", "---", "-o", "--output", "-o=x", "--output=/dev/null/x", "-mm", "-m=3", "-V",
    "@x", "@file", "", " ", "=", "==", "=x", "x=", "x", "a b", "a=b=c", "'", '"', "'a'=b", "a='b",
    "a=\"b", "a=[", "a={", "a=(", "a=)", "a=]", "a=}", "a=\\", "a=,", "a=:", "a=${", "a=$", "a=%",
    "a=#", "a=\t", "a=\n", "a=\x1b[2J", "a=\x07", "\x1b[2J", "a=\u202e", "a=\u2028", "\udcff",
    "\udcff=1", "a=\udcff", "seed=\udcff", "sparsity=\udcff", "hydra.run.dir=\udcff", "ä=1",
    "🦙=1", "seed=🦙", "seed=٣", "+", "++", "+=", "++=1", "+seed=1", "++seed=x", "+seed",
    "+a.b.c=1", "+a=1", "++a=1", "+hydra=1", "a.b=1", ".=1", "..=1", ".a=1", "a.=1", "a..b=1",
    "a/b=1", "/=1", "/a=1", "a@b=1", "@=1", "a:b=1", "[0]=1", "seed[0]=1", "seed.x=1", "seed/x=1",
    "seed@x=1", "model@x=lenet5", "x" * 10_000, "seed=" + "9" * 10_000, "a=" + "[" * 300,
    "seed=" + "[" * 3000, "seed=" + "(" * 500, "nul=\x7f", "seed=" + "{a:" * 200,
    "seed='" + "\\" * 999, "seed=${" * 50, "seed=0x10", "seed=0b1", "seed=1_0", ".", "..", "/",
    "conf", "my.yaml", "nowhere", "done", "gradual", "prune", "all", "list", "clear",
)  # fmt: skip
"""Words to add, most of them wrong."""

STRANGE = [
    "'", '"', "\\", "{", "}", "[", "]", "(", ")", ",", ":", "=", "$", "${", "~", "+", "@", "/",
    ".", "-", "#", "%", "&", "*", "?", "!", "|", ";", "<", ">", "`", "^", " ", "\t", "\n", "\r",
    "\x1b[2J", "\x07", "\u202e", "\u2028", "\ufeff", "\udcff", "ä", "🦙", "\xa0", "0", "null",
]  # fmt: skip


def dropped(words: Words, chance: random.Random) -> None:
    """One word fewer."""
    del words[chance.randrange(len(words))]


def doubled(words: Words, chance: random.Random) -> None:
    """One word twice."""
    words.insert(chance.randrange(len(words) + 1), chance.choice(words))


def slipped(words: Words, chance: random.Random) -> None:
    """A slip of the finger."""
    at = chance.randrange(len(words))
    key, equals, value = words[at].partition("=")
    if equals and value and chance.random() < 0.4:
        value = misspelled(value, chance)
    elif key:
        key = misspelled(key, chance)
    words[at] = key + equals + value


def valued(words: Words, chance: random.Random) -> None:
    """Another value."""
    at = chance.choice([n for n, word in enumerate(words) if "=" in word] or [len(words) - 1])
    words[at] = f"{words[at].partition('=')[0]}={chance.choice(VALUES)}"


def exchanged(words: Words, chance: random.Random) -> None:
    """Two values in each other's place."""
    one, other = chance.randrange(len(words)), chance.randrange(len(words))
    (key, _, value), (key2, _, value2) = words[one].partition("="), words[other].partition("=")
    words[one], words[other] = f"{key}={value2}", f"{key2}={value}"


def shuffled(words: Words, chance: random.Random) -> None:
    """Another order."""
    chance.shuffle(words)


def split(words: Words, chance: random.Random) -> None:
    """A word in two, as a space in it makes it."""
    at = chance.randrange(len(words))
    cut = chance.randrange(len(words[at]) + 1)
    words[at : at + 1] = [words[at][:cut], words[at][cut:]]


def joined(words: Words, chance: random.Random) -> None:
    """Two words in one, as quotes around them make it."""
    at = chance.randrange(len(words))
    words[at : at + 2] = [" ".join(words[at : at + 2])]


def sprinkled(words: Words, chance: random.Random) -> None:
    """A strange character somewhere."""
    at = chance.randrange(len(words))
    cut = chance.randrange(len(words[at]) + 1)
    words[at] = words[at][:cut] + chance.choice(STRANGE) + words[at][cut:]


def signed(words: Words, chance: random.Random) -> None:
    """A sign of Hydra's in front."""
    at = chance.randrange(len(words))
    words[at] = chance.choice(["+", "++", "~", "-", "--", "@"]) + words[at]


def longer(words: Words, chance: random.Random) -> None:
    """One word more."""
    words.insert(chance.randint(min(1, len(words)), len(words)), chance.choice(EXTRA))


SLIPS: tuple[Callable[[Words, random.Random], None], ...] = (
    dropped, doubled, slipped, slipped, valued, valued, exchanged, shuffled, split, joined,
    sprinkled, sprinkled, signed, longer, longer, longer, longer, longer,
)  # fmt: skip


def mutant(chance: random.Random) -> Words:
    """A bad command line."""
    words = list(chance.choice(RIGHT))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        chance.choice(SLIPS)(words, chance)
        words = words or [""]
    return words
