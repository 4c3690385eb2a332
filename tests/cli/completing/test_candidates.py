"""What may stand next on a command line, case by case; and that Hydra would take it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import DictConfig

from pruneflow.cli import COMMANDS, HIDDEN, usage
from pruneflow.cli.completing import commands
from pruneflow.cli.completing.candidates import candidates, is_whole
from pruneflow.cli.completing.composing import composed
from pruneflow.cli.completing.conf import Conf
from pruneflow.cli.completing.keys import Key
from pruneflow.cli.completion import SHELLS
from pruneflow.cli.recipes import VERBS
from pruneflow.modifiers import MODIFIERS
from pruneflow.modifiers.iterative_prune import CONTROLS
from pruneflow.recipe import library
from pruneflow.recipe.compose import config_loader, load_recipe
from pruneflow.report.sweep import SUMMARY

CHILD = """\
# Gradual, then rare. And more words.
defaults: [gradual, {_parts@modifiers.finetune: finetune}, _self_]
vars: {slow: 2ep}
modifiers:
  prune: {schedule: linear, every: "${vars.slow}"}
  late: {type: lr, start: 15ep, factor: 0.1}
"""
RECIPES = set(library.names())


def write(name: str, text: str = "") -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def after(line: str) -> set[str]:
    """The candidates for the last word of a line without quotes, without the part it has."""
    *given, current = line.split(" ")
    kept = max(current.rfind(mark) for mark in "=.,[@") + 1
    return {word[kept:] for word in candidates(given, current)}


EXACTLY = {
    "": set(COMMANDS),
    "tr": {"train"},
    "completion ": set(SHELLS),
    "completion bash ": set(),
    "recipes ": set(VERBS),
    "recipes show pr": {"prune"},
    "recipes list ": set(),
    "train recipe=": RECIPES,
    "plan recipe=lo": {"lottery"},
    "train recipe=lottery,": RECIPES - {"lottery"},
    "train recipe=lottery,gradual,le": {"lenet_imp"},
    "train optimizer=": {"sgd", "adam", "adamw"},
    "train optimizer=sgd,": {"adam", "adamw"},
    "train checkpoint.": {"every_n_steps=", "keep="},
    "train checkpoint.keep=": {"2"},
    "train optimizer=adam optimizer.lr=": {"0.0012"},
    "train fresh=": {"true", "false"},
    "train seed=0 see": set(),
    "train nothing=": set(),
    "train nothing.": set(),
    "train recipe.": set(),
    "train recipe=absent recipe.": set(),
    "train ~recipe.modifiers.": set(),
    "train --cfg ": {"job", "hydra", "all"},
    "train --cfg=j": {"job"},
    "train --config-name p": {"plan"},
    "train control=": {*CONTROLS, "all"},
    "train recipe=lottery control=r": {"random_reinit", "random_mask"},
    "train recipe=lottery recipe.control=a": set(),
    "train recipe=fine_tune_only sp": set(),
    "train recipe=gradual sparsity=": {"0.9"},
    "train recipe=gradual recipe.": {
        "length=", "sparsity=", "targets=", "targets.", "modifiers.",
    },
    "train recipe=gradual recipe.targets.": {"types=", "names=", "ignore="},
    "train recipe=gradual recipe.modifiers.": {"prune.", "freeze.", "finetune."},
    "train recipe=gradual +recipe.modifiers.pr": {"prune."},
    "train recipe=gradual recipe.modifiers.freeze.": {
        "type=", "start=", "targets=", "targets.", "ignore=",
    },
    "train recipe=gradual recipe.modifiers.freeze.type=": set(MODIFIERS),
    "train recipe=gradual recipe.modifiers.prune.schedule=c": {"constant", "cosine", "cubic"},
    "train recipe=gradual recipe.modifiers.prune.schedule=cubic,co": {"constant", "cosine"},
    "train recipe=gradual recipe.modifiers.freeze.start=": {
        "prune.start", "prune.end", "finetune.start", "finetune.end",
    },
    "train recipe=gradual ~recipe.modifiers.": {"prune", "freeze", "finetune"},
    "train recipe=gradual ~recipe.modifiers.freeze ~": {
        "~recipe.modifiers.prune", "~recipe.modifiers.finetune",
    },
    "train recipe=gradual recipe/": {"recipe/_parts@recipe.modifiers.finetune="},
    "train recipe=gradual recipe/_parts@recipe.modifiers.finetune=": {"decay", "finetune"},
    "train recipe=gradual +recipe/_parts@recipe.modifiers.x=d": {"decay"},
    "train recipe=gradual +recipe/_parts@recipe.modifiers.x=decay recipe.modifiers.x": {"x."},
    "train recipe=gradual +recipe.modifiers.x={type:lr} recipe.modifiers.x.fac": {"factor="},
    "train recipe=gradual recipe.modifiers.prune.type=lr recipe.modifiers.prune.fac": {"factor="},
    "train recipe=lottery,one_shot recipe.modifiers.": {
        "tickets.", "prune.", "freeze.", "finetune.",
    },
    "train recipe=lottery recipe.modifiers.tickets.fraction.": {"default=", "output="},
    "train recipe=lottery recipe.modifiers.tickets.rewind_to=": {"init"},
    "deploy deploy.goal=": {"balanced", "size", "latency"},
    "deploy deploy.candidates=[torch,torch_c": {
        "torch_csr", "torch_compile", "torch_compile_max", "torch_compile_frozen",
    },
    "deploy recipe": set(),
    "report --o": {"--output"},
}  # fmt: skip


@pytest.mark.parametrize("line", EXACTLY)
def test_what_may_stand_next(line: str) -> None:
    assert after(line) == EXACTLY[line]


SOME = {
    "-": {"--help", "--version"},
    "train ": {"recipe=", "model=", "model.", "seed=", "sparsity=", "control=", "run=", "hydra."},
    "train -": {"-m", "--multirun", "--cfg", "--help", "--config-dir"},
    "deploy -": {"--cfg", "--help"},
    "deploy ": {"run=", "out=", "deploy."},
    "deploy deploy.": {"goal=", "batches=", "backend="},
    "train logger=": {"csv", "none"},
    "train trainer=cpu ": {"trainer."},
    "recipes show ": {"gradual", "decay", "iterative_prune"},
    "train recipe=gradual recipe.modifiers.prune.": {"type=", "schedule=", "criterion=", "end="},
}


@pytest.mark.parametrize("line", SOME)
def test_some_of_what_may_stand_next(line: str) -> None:
    assert after(line) >= SOME[line]


def test_deploy_is_no_sweep() -> None:
    assert not {"-m", "--multirun"} & after("deploy -")


def test_what_shells_ask_is_no_word_for_people() -> None:
    assert not set(HIDDEN) & (set(COMMANDS) | set(usage().split()))


def test_recipes_of_ones_own_and_what_they_build_on() -> None:
    write("recipes/child.yaml", CHILD)
    assert candidates(["train"], "recipe=chi") == {"recipe=child": "Gradual, then rare"}
    line = "train recipe=child recipe."
    assert after(f"{line}modifiers.") == {"prune.", "freeze.", "finetune.", "late."}
    assert after(f"{line}vars.slow=") == {"2ep"}
    assert after(f"{line}modifiers.finetune.factor=") == {"0.2"}  # the child's fragment's


def test_a_faulty_recipe_leaves_the_other_keys() -> None:
    write("faulty.yaml", "modifiers: {prune: {type: [}")
    assert "model=" in after("train recipe=./faulty.yaml ")
    assert after("train recipe=./faulty.yaml recipe.modifiers.") == set()


def test_recipes_by_path() -> None:
    for name in ("mine.yaml", "notes.txt", "deeper/one.yml", ".hidden.yaml"):
        write(name, CHILD)
    assert set(candidates(["train"], "recipe=./")) == {"recipe=./mine.yaml", "recipe=./deeper/"}
    assert set(candidates(["train"], "recipe=gradual,./d")) == {"recipe=gradual,./deeper/"}
    assert set(candidates(["recipes", "check"], "deeper/")) == {"deeper/one.yml"}
    assert "late." in after("train recipe=./mine.yaml recipe.modifiers.")


def test_runs_sweeps_and_checkpoints() -> None:
    write("outputs/lenet_imp/one/run.lock.yaml")
    write("outputs/lenet_imp/one/checkpoints/a.ckpt")
    write("outputs/sweeps/s/0/run.lock.yaml")
    write(f"outputs/sweeps/s/{SUMMARY}")
    write("outputs/plans/p/plan.json")
    write("elsewhere/x.ckpt")
    runs = {"outputs/lenet_imp/one", "outputs/sweeps/s/0"}
    assert set(candidates(["train"], "run=")) == {f"run={path}" for path in runs}
    assert set(candidates(["deploy"], "run=outputs/s")) == {
        "run=outputs/sweeps/s",
        "run=outputs/sweeps/s/0",
    }
    assert set(candidates(["train"], "run=else")) == {"run=elsewhere/"}
    held = "ckpt_path=outputs/lenet_imp/one/checkpoints/"
    assert set(candidates(["train"], "ckpt_path=")) == {"ckpt_path=last", held}
    assert set(candidates(["train"], held)) == {held}  # a tab later, what is in it
    assert set(candidates(["train"], f"{held}a")) == {f"{held}a.ckpt"}
    assert set(candidates(["train"], "ckpt_path=elsewhere/")) == {"ckpt_path=elsewhere/x.ckpt"}
    assert set(candidates(["report"], "o")) == {"outputs/"}


@pytest.mark.parametrize("flag", ["--config-dir mine", "--config-dir=mine", "-cd mine"])
def test_groups_of_ones_own(flag: str) -> None:
    write("mine/model/tiny.yaml", "# Small. Very.\nname: lenet5\nargs: {width: 3}\n")
    write("mine/experiment/night.yaml", "seed: 3\n")
    line = f"train {flag} "
    assert after(f"{line}model=t") == {"tiny"}
    assert after(f"{line}model=tiny model.args.") == {"width="}
    assert "experiment=" not in after(line)
    assert after(f"{line}+exp") == {"+experiment="}
    assert after(f"{line}+experiment=") == {"night"}


def test_a_candidate_is_whole_or_goes_on() -> None:
    assert all(map(is_whole, ["train", "recipe=gradual", "start=prune.end", "x=[a,b]"]))
    assert not any(map(is_whole, ["recipe=", "recipe.", "run=outputs/", "x=[a"]))


LINES = [
    "", "tr", "train ", "train r", "train recipe=l", "train -", "deploy deploy.", "recipes show ",
    "train recipe=gradual recipe.modifiers.prune.", "train recipe=gradual recipe.modifiers.prune.s",
    "train recipe=gradual ~", "train recipe=gradual,", "deploy deploy.candidates=[torch,",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_who_types_on_keeps_what_was_offered(line: str) -> None:
    *given, current = line.split(" ")
    offered = list(candidates(given, current))
    assert offered
    for word in offered[:6]:
        assert word.startswith(current)
        for end in range(len(current), len(word), 3):
            assert word in candidates(given, word[:end])


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["~modifiers.finetune"],
        ["+modifiers.new={type: freeze_mask, start: 90%}"],
        ["_parts@modifiers.finetune=finetune"],
    ],
    ids=lambda overrides: overrides[0] if overrides else "as it is",
)
@pytest.mark.parametrize("name", ["child", "gradual", "one_shot", "lenet_imp"])
def test_a_recipe_is_read_as_hydra_composes_it(name: str, overrides: list[str]) -> None:
    write("recipes/child.yaml", CHILD)
    given = [
        word.replace("_parts@", "recipe/_parts@recipe.")
        if word.startswith("_")
        else word.replace("modifiers.", "recipe.modifiers.")
        for word in overrides
    ]
    tree, _ = composed(name, given)
    recipe = load_recipe(name, overrides=overrides)
    assert {key: part["type"] for key, part in tree["modifiers"].items()} == {
        key: modifier.type for key, modifier in recipe.modifiers.items()
    }


def leaves(key: Key, path: str = "") -> set[str]:
    if not key.below:
        return {path}
    return {leaf for name, part in key.below.items() for leaf in leaves(part, f"{path}.{name}")}


def nodes(config: DictConfig, path: str = "") -> set[str]:
    found = set()
    for name in config:
        value = config._get_node(name)
        inner = f"{path}.{name}"
        found |= nodes(value, inner) if isinstance(value, DictConfig) and len(value) else {inner}
    return found


@pytest.mark.parametrize("name", ["train", "plan", "deploy"])
@pytest.mark.parametrize("chosen", [[], ["model=vit", "optimizer=adam", "trainer=gpu"]])
def test_the_keys_are_those_that_hydra_composes(name: str, chosen: list[str]) -> None:
    chosen = [] if name == "deploy" else chosen
    config = config_loader().load_configuration(name, chosen, RunMode.RUN)
    hydra = {path for path in nodes(config) if not path.startswith((".hydra", ".recipe"))}
    read = {path for path in leaves(Conf(chosen).key(name)) if not path.startswith(".hydra")}
    assert read - {".recipe"} == hydra


def test_the_options_are_those_that_hydra_finds() -> None:
    loader, conf = config_loader(), Conf([])
    assert conf.groups()
    for group in conf.groups():
        found = loader.get_group_options(group, ObjectType.CONFIG)
        assert set(conf.options(group)) == set(found)


@pytest.mark.parametrize("command", commands.CONFIGURED)
def test_the_flags_are_hydras(command: str) -> None:
    actions = {flag: act for act in get_args_parser()._actions for flag in act.option_strings}
    for flag in commands.flags(command):
        values = commands.flag_values(flag, "", [])
        assert (values is None) == (actions[flag].nargs == 0)
        if actions[flag].choices is not None:
            assert set(values or ()) == set(actions[flag].choices or ())
