"""Broken recipes: each message names the file and the line to edit, and says how to mend it.

In the tables the line that the person has to edit is marked with ``#!``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from pruneflow.errors import RecipeError
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.compose import load_recipe
from pruneflow.timeline import Horizon


class Net(nn.Module):
    """Three layers of 200, 100 and 50 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(20, 10), nn.Linear(10, 10), nn.Linear(10, 5)


def complaints(text: str, name: str = "my.yaml") -> list[str]:
    """What loading and compiling the recipe complains about."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    with pytest.raises(RecipeError) as caught:
        compile_for(load_recipe(f"./{name}"), Net(), Horizon(10))
    return [str(problem) for problem in caught.value.problems]


def check(text: str, phrase: str) -> None:
    """Each marked line is complained about, no other line is, and the phrase is said."""
    marked = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]
    assert marked, "the table must mark a line"
    found = complaints(text)
    assert [message.partition(": ")[0] for message in found] == [f"my.yaml:{n}" for n in marked]
    assert phrase in found[0]


def with_fields(kind: str, fields: str) -> str:
    """A recipe of one modifier; its own line is the marked one where no field is."""
    mark = "" if "#!" in fields else "  #!"
    lines = "".join(f"    {field.strip()}\n" for field in fields.split(";") if field.strip())
    return f"length: 10ep\nmodifiers:\n  m:{mark}\n    type: {kind}\n{lines}"


UNIT = "write 3ep (epochs), 400st (steps) or 30% (of the run)"
HIGH = "(90 % is written 0.9)"
OK = "modifiers: {p: {type: prune, sparsity: 0.5}}\n"
ONE = "needs exactly one of 'factor' and 'init'"

WHOLE = [
    ("lenth: 9ep  #!\n" + OK, "unknown key 'lenth'. Did you mean 'length'? Allowed: control, "),
    ("target: [fc1]  #!\n" + OK, "Did you mean 'targets'?"),
    ("vars: 3  #!\n" + OK, "vars: needs names and values"),
    ("length: 10  #!\n" + OK, "length: 10 has no unit: write 10ep (epochs), 10st (steps)"),
    ("length: 10epochs  #!\n" + OK, f"'10epochs' is not a time: {UNIT}"),
    ("length: prune.end  #!\n" + OK, f"'prune.end' is not a time: {UNIT}"),
    ("length: -9ep  #!\n" + OK, "is not a time"),
    ("length: 50%  #!\n" + OK, "cannot be a share of itself: write 20ep or 9000st"),
    ("length: 9ep\nmodifiers:  #!\n", "needs named entries such as 'prune: {type: prune"),
    ("length: 9ep  #!\n", "modifiers: needs named entries"),
    ("length: 9ep\nmodifiers:  #!\n  - type: prune\n", "modifiers: needs named entries"),
    ("modifiers: prune  #!\n", "got 'prune'"),
    ("modifiers:\n  p: [prune]  #!\n", "modifiers.p: needs named entries such as"),
    ("modifiers:\n  p:  #!\n", "modifiers.p: needs a mapping such as"),
    ("modifiers:\n  p:  #!\n    sparsity: 0.5\n", "'type' is missing. Allowed: acdc, "),
    ("modifiers:\n  p:  #!\n    type:\n    sparsity: 0.5\n", "'type' is missing"),
    ("modifiers:\n  p:\n    type: prun  #!\n", "unknown type 'prun'. Did you mean 'prune'?"),
    ("modifiers:\n  p:\n    sparsity: 0.5\n    tpye: prune  #!\n", "Did you mean 'type'?"),
    ("modifiers:\n  p:\n    Type: prune  #!\n    sparsity: 0.5\n", "modifiers.p.Type: unknown"),
    ("modifiers:\n  p:\n    type: [prune]  #!\n", "unknown type '['prune']'. Did"),
    ("modifiers:\n  p:\n    type: {prune: 1}  #!\n", "unknown type"),
    ("length: 9ep\ntargets: [fc9]  #!\n" + OK, "'fc9' matches no layer. Did you mean 'fc"),
    ("length: 9ep\ntargets: [outptu]  #!\n" + OK, "Did you mean 'output'? Allowed: fc1, fc2"),
    ("length: 9ep\ntargets: {types: [Conv2d]}  #!\n" + OK, "which has: fc1.weight (Linear), fc2"),
    ("length: 9ep\ntargets: {tpyes: [x]}  #!\n" + OK, "no field 'tpyes' in targets. Did you mean"),
    ("length: 9ep\ntargets: 3  #!\n" + OK, "needs a name pattern or a list of them, got '3'"),
    ("length: 9ep\ntargets: {names: [1]}  #!\n" + OK, "needs a name pattern or a list of them"),
    ("# note  #!\n" + OK, "nothing in the recipe tells how long to train: add 'length: 20ep'"),
]  # fmt: skip

PRUNE = [
    ("sparsity: 0.5; schedul: cubic #!", "has no field 'schedul'. Did you mean 'schedule'? Allow"),
    ("sparsity: 0.5; start: 2 #!", "start: 2 has no unit: write 2ep (epochs), 2st (steps) or 2%"),
    ("sparsity: 0.5; start: 2epoch #!", f"'2epoch' is not a time: {UNIT}"),
    ("sparsity: 0.5; start: 2:4 #!", "'2:4' is not a time"),
    ("sparsity: 0.5; start: true #!", "needs a time, got True"),
    ("sparsity: 0.5; start: 2.5st #!", "write a whole number of steps"),
    ("sparsity: 0.5; end: 3ep; every: m.end #!", f"'m.end' is not a time: {UNIT}"),
    ("sparsity: 0.5; end: 3ep; every: 0.01ep #!", "0.01ep rounds to no step at all"),
    ("sparsity: 0.5; start: 5ep; end: 2ep #!", "the end (step 20) is before the start (step 50)"),
    ("sparsity: 90 #!", f"sparsity: 90 is outside the range: number from 0 below 1 {HIGH}"),
    ("sparsity: 1.0 #!", "1 is outside the range: number from 0 below 1"),
    ("sparsity: -0.1 #!", "-0.1 is outside the range"),
    ("sparsity: ninety #!", f"needs a number, got 'ninety' {HIGH}"),
    ("sparsity: 90% #!", HIGH),
    ("sparsity: '0.9' #!", "needs a number, got '0.9'"),
    ("sparsity: 1.7 #!", f"1.7 is outside the range: number from 0 below 1 {HIGH}"),
    ("sparsity: {fc1: 0.5} #!", "one for each layer needs 'allocation: per_layer'"),
    ("sparsity: {fc1: 90} #!; allocation: per_layer", "fc1: 90 is outside the range: number fr"),
    ("sparsity: {fc9: 0.5, default: 0} #!; allocation: per_layer", "'fc9' matches no layer. Did"),
    ("sparsity: {fc1: 0.5} #!; allocation: per_layer", "'fc2.weight'; name it, or add 'default'"),
    ("start: 1ep", "m: required field 'sparsity' is missing"),
    ("sparsity: 0.5; criterion: magnitud #!", "Did you mean 'magnitude'?"),
    ("sparsity: 0.5; allocation: globl #!", "Did you mean 'global'?"),
    ("sparsity: 0.5; schedule: cubik #!", "Did you mean 'cubic'? Allowed: constant, cosine, cub"),
    ("sparsity: 0.5; schedule: linear", "schedule 'linear' needs an 'end'"),
    ("sparsity: 0.5; milestones: {2ep: 0.5} #!", "'milestones' and 'schedule: multistep' go tog"),
    ("schedule: multistep; milestones: {2ep: 0.5}; end: 3ep #!", "leave 'end' out"),
    ("schedule: multistep; milestones: {2ep: 0.5}; sparsity: 0.5 #!", "leave 'sparsity' out"),
    ("schedule: multistep; milestones: {3: 0.5} #!", "'3' is not a time"),
    ("schedule: multistep; milestones: {3ep: 50} #!", "3ep: 50 is outside the range: number fro"),
    ("sparsity: 0.5; end: 3ep; initial_sparsity: 0.6 #!", "0.6 is above the final sparsity 0.5"),
    ("sparsity: 0.98 #!; max_layer_sparsity: 0.9", "(max_layer_sparsity, min_nonzeros) allows at"),
    ("sparsity: 0.98 #!; max_layer_sparsity: 0.9; allocation: uniform", "lower the sparsity, or"),
    ("sparsity: 0.98 #!; max_layer_sparsity: 0.9; allocation: erk", "min_nonzeros) allows, 0.9"),
    ("sparsity: {fc1: 0.5} #!; allocation: lamp", "one for each layer needs 'allocation: per_l"),
    ("sparsity: 0.5; max_layer_sparsity: 90 #!", HIGH),
    ("sparsity: 0.5; min_nonzeros: 1.5 #!", "needs a whole number, got '1.5'"),
    ("sparsity: 0.5; power: 0 #!", "0 is outside the range: number above 0"),
    ("sparsity: 0.5; power: 3 #!", "is of schedule 'polynomial', and this one is 'constant'"),
    ("sparsity: 0.5; end: 3ep; power: 2 #!", "is of schedule 'polynomial', and this one is 'cub"),
    ("sparsity: 0.5; initial_sparsity: 0.2 #!", "and schedule 'constant' has none: add an 'end'"),
    ("schedule: multistep; milestones: {2ep: 0.5}; initial_sparsity: 0.2 #!", "has none"),
    ("sparsity: 0.5; schedule: constant; end: 3ep; initial_sparsity: 0.2 #!", "has none"),
    ("sparsity: 0.5; targets: [fc9] #!", "'fc9' matches no layer. Did you mean 'fc"),
    ("sparsity: 0.5; ignore: [outptu] #!", "ignore: 'outptu' matches no layer. Did you mean 'out"),
    ("sparsity: 0.5; ignore: ['*'] #!", "targets match nothing"),
    ("sparsity: 0.5; start: m.end #!", "'m.end' depends on itself"),
    ("sparsity: 0.5; start: prune.end #!", "refers to no modifier of this recipe. Allowed: m."),
    ("sparsity: 0.5; start: m.finish #!", "'m.finish' is not a time"),
    ("granularity: 4:2 #!", "'4:2' is no granularity; write unstructured | "),
    ("granularity: 2:64 #!", '"n:m" (n < m <= 32)'),
    ("granularity: nm #!; sparsity: 0.5", "'nm' is no granularity; write "),
    ("granularity: {blok: [4, 4]} #!; sparsity: 0.5", "is no granularity; write"),
    ("granularity: block #!; sparsity: 0.5", "rows and columns: {block: [32, 32]}"),
    ("granularity: {block: 32} #!; sparsity: 0.5", "a block has two whole numbers from 1, rows"),
    ("granularity: {block: [0, 4]} #!; sparsity: 0.5", "{block: [32, 32]}; got '[0, 4]'"),
    ("granularity: {block: [2, 2], of: 3} #!; sparsity: 0.5", "no field 'of' beside 'block'"),
    ("granularity: {block: [5, 5]}", "required field 'sparsity' is missing"),
    ("granularity: filter; sparsity: 0.5 #!", "unlike sizes (20 weights in 'fc1.weight', 10 w"),
    ("granularity: 1:2; allocation: erk", "choose allocation 'uniform' or 'global'"),
    ("granularity: 1:2; sparsity: 0.9 #!", "1:2 means a sparsity of 0.5: write that, or nothing"),
    ("granularity: 1:2; sparsity: {fc1: 0.5} #!", "1:2 means a sparsity of 0.5"),
    ("granularity: 1:3; sparsity: 0.67 #!", "1:3 means a sparsity of 0.666667"),
    ("granularity: 1:2; end: 3ep; initial_sparsity: 0.6 #!", "above the final sparsity 0.5"),
    ("granularity: 1:2; schedule: multistep; milestones: {2ep: 0.3} #!", "in the end 1:2 means"),
    ("granularity: 2:4 #!", "'fc2.weight' (10 x 10), 'fc3.weight' (5 x 10): add 'ignore: [fc2, fc"),
    ("granularity: {block: [4, 4]} #!; sparsity: 0.5", "(5 x 10): choose another granularity"),
    ("granularity: {block: [5, 10]}; sparsity: 0.9 #!; allocation: uniform", "of the blocks of 5"),
    ("granularity: 1:2; max_layer_sparsity: 0.4; targets: [fc1]", "allows at most 80"),
    ("sparsity: 0.5; start: 20ep", "it needs a length of 20ep (200 steps)"),
]  # fmt: skip

ITERATIVE = [
    ("every: 1ep", "give exactly one of 'rounds' and 'sparsity'"),
    ("every: 1ep; rounds: 2; sparsity: 0.5", "give exactly one of 'rounds' and 'sparsity'"),
    ("rounds: 2", "required field 'every' is missing (training between two prunings)"),
    ("every: 1ep; rounds: 0 #!", "0 is below 1"),
    ("every: 1ep; rounds: 2.5 #!", "needs a whole number, got '2.5'"),
    ("every: 1ep; rounds: 100000000 #!", "is more than 1000"),
    ("every: 1ep; rounds: 12", "it needs a length of 13ep (130 steps)"),
    ("every: 1ep; rounds: 2; fraction: 20 #!", "(20 % is written 0.2)"),
    ("every: 1ep; rounds: 2; fraction: {fc9: 0.2, default: 0.1} #!", "'fc9' matches no layer."),
    ("every: 1ep; rounds: 2; fraction: {fc1: 0.2} #!", "name it, or add 'default'"),
    ("every: 1ep; rounds: 2; allocation: global; fraction: {fc1: 0.2} #!", "allocation: per_lay"),
    ("every: 1ep; sparsity: 0.99 #!; fraction: 0.001", "0.99 is not reached after"),
    ("every: 1ep; rounds: 2; rewind: weight #!", "Did you mean 'weights+lr'? Allowed: lr, none"),
    ("every: 1ep; rounds: 2; rewind: off #!", "Allowed: lr, none, weights+lr."),
    ("every: 1ep; rounds: 2; rewind_to: m.start #!", "needs 'init' or a time such as 1ep"),
    ("every: 1ep; rounds: 2; rewind: none; rewind_to: 1ep #!", "means nothing with 'rewind: none'"),
    ("every: 1ep; rounds: 2; rewind_to: 2ep; start: 1ep #!", "has to come after the moment that"),
    ("every: 1ep; rounds: 2; rewind: lr; control: random_mask #!", "it needs 'rewind: weights+lr'"),
    ("every: 1ep; rounds: 2; control: random_reinit; rewind_to: 1ep #!", "needs 'rewind_to: init'"),
]  # fmt: skip

RATE = [
    ("init: 0.1; factor: 0.1", ONE),
    ("init: 0.1; final: 0.1 #!", "schedule 'constant' does not use 'final'"),
    ("schedule: step; gamma: 0.1", "schedule 'step' needs 'every'"),
    ("schedule: multistep; gamma: 0.1; milestones: 2ep #!", "a list of times, e.g. [2ep, 4ep]"),
    ("schedule: multistep; gamma: 0.1; milestones: [2, 3ep] #!", "2 has no unit: write 2ep"),
    ("factor: -0.1 #!", "-0.1 is outside the range: number from 0"),
    ("factor: 0.1; start: 3ep; end: 3ep #!", "the end (step 30) is not after the start (step 30)"),
    ("factor: 0.1; warmup: 10ep #!", "10ep is as long as the whole span"),
    ("factor: 0.1; start: 10ep", "start earlier, or lengthen it"),
    ("factor: 0.1; targets: [fc1] #!", "'lr' has no field 'targets'"),
]

HEAD = "length: 10ep\nmodifiers:\n"
SEVERAL = [
    ("a: {type: prune, sparsity: 0.5, start: b.end}  #!; b: {type: freeze_mask, start: a.end}  #!",
     "'b.end' depends on itself"),
    ("prune: {type: prune, sparsity: 0.5}; b: {type: freeze_mask, start: prun.end}  #!",
     "Did you mean 'prune'? Allowed: b, prune."),
    ("p: {type: prune, sparsity: 0.5, end: 4ep}; q: {type: prune, sparsity: 0.6, start: 2ep}  #!",
     "'fc1.weight' has two owners of its mask: 'p' (steps 0 to 40) and 'q' (steps 20 to 20)"),
    ("p: {type: prune, sparsity: 0.5}; q: {type: prune, sparsity: 0.3, start: 5ep}  #!",
     "pruned weights do not grow back"),
    ("p: {type: prune, sparsity: 0.2}; q: {type: prune, granularity: 1:2, start: 5ep}  #!",
     "'fc1.weight' has zeros by then that are unstructured, from which 1:2 cannot go on: prune"),
    ("p: {type: prune, sparsity: 0.5, start: 5ep}  #!; f: {type: freeze_mask, start: 2ep}",
     "changes the mask of 'fc1.weight' at step 50, but 'f' froze it at step 20"),
    ("p: {type: iterative_prune, rounds: 3, every: 1ep}  #!; f: {type: freeze_mask, start: 2ep}",
     "changes the mask of 'fc1.weight' at step 30, but 'f' froze it at step 20"),
    ("a: {type: lr, factor: 0.1}; b: {type: lr, factor: 0.1, start: 3ep}  #!",
     "two owners: 'a' (steps 0 to 100) and 'b' (steps 30 to 100)"),
    ("p: {type: iterative_prune, rounds: 2, every: 1ep}; r: {type: lr, init: 1, start: p.end}  #!",
     "write a time on the round's clock"),
    ("p: {type: prune, sparsity: 90}  #!; q: {type: frezee_mask}  #!", HIGH),
]  # fmt: skip

USED = OK.replace("0.5", '"${sparsity}"')
REFERENCES = [
    ("length: 9ep\nsparsity: 90  #!\n" + USED, HIGH),
    ("length: 9ep\nsparsity: ninety  #!\n" + USED, HIGH),
    ("length: 9ep\n" + USED.strip() + "  #!", "${sparsity} refers to nothing. Allowed: length."),
    ("vars: {when: 3}  #!\nmodifiers:\n  p: {type: freeze_mask, start: '${vars.when}'}\n",
     "modifiers.p.start: 3 has no unit"),
]  # fmt: skip

KEYS_BESIDE_REFERENCES = [
    ("sparsity: 0.5\nmodifiers:\n  p: {type: prune,\n      sparsty: '${sparsity}',  #!\n"
     "      sparsity: 0.5}\n", "'prune' has no field 'sparsty'. Did you mean 'sparsity'?"),
    ("sparsty: 0.5  #!\n" + USED.strip() + "  #!\n", "unknown key 'sparsty'. Did you mean 'spar"),
    ("vars: {rate: '${vars.nobody}'}  #!\nmodifiers:\n  p: {type: lr, init: '${vars.rate}'}\n",
     "vars.rate: ${vars.nobody} refers to nothing"),
]  # fmt: skip

NO_LENGTH = [
    ("type: prune; sparsity: 0.5; start: 20% #!", "add 'length: 20ep' to the recipe"),
    ("type: prune; schedule: multistep; milestones: {20%: 0.5} #!", "add 'length: 20ep' to the re"),
    ("type: lr; factor: 0.1; start: 20% #!", "add 'length: 20ep' to the recipe"),
]


@pytest.mark.parametrize(("text", "phrase"), [*WHOLE, *REFERENCES, *KEYS_BESIDE_REFERENCES])
def test_whole_recipes(text: str, phrase: str) -> None:
    check(text, phrase)


@pytest.mark.parametrize(
    ("kind", "fields", "phrase"),
    [
        *(("prune", *row) for row in PRUNE),
        *(("iterative_prune", *row) for row in ITERATIVE),
        *(("lr", *row) for row in RATE),
    ],
)
def test_fields(kind: str, fields: str, phrase: str) -> None:
    check(with_fields(kind, fields), phrase)


@pytest.mark.parametrize(("text", "phrase"), SEVERAL)
def test_modifiers_that_do_not_go_together(text: str, phrase: str) -> None:
    check(HEAD + "".join(f"  {line.strip()}\n" for line in text.split(";")), phrase)


@pytest.mark.parametrize(("fields", "phrase"), NO_LENGTH)
def test_a_share_of_an_unknown_length(fields: str, phrase: str) -> None:
    lines = "".join(f"    {field.strip()}\n" for field in fields.split(";"))
    check(f"modifiers:\n  m:\n{lines}", phrase)


def test_an_open_ended_rate_does_not_tell_how_long_to_train() -> None:
    text = "modifiers: {r: {type: lr, factor: 0.1}}\n"
    assert complaints(text) == [
        "my.yaml:1: nothing in the recipe tells how long to train: add 'length: 20ep'"
    ]


def test_a_plan_of_absurdly_many_events_is_refused() -> None:
    text = "modifiers:\n  p: {type: prune, sparsity: 0.5, end: 999999999999st, every: 1st}\n"
    assert complaints(text)[0].startswith("my.yaml:2: modifiers.p.every: 1st makes more than")


def test_a_recipe_of_absurdly_many_modifiers_is_refused() -> None:
    text = "length: 9ep\nmodifiers:\n" + "".join(
        f"  m{n + 1}: {{type: freeze_mask, start: m{n}.start}}\n" for n in range(600)
    )
    assert complaints(text) == ["my.yaml:2: modifiers: are 600, more than the 100 allowed"]


def test_the_longest_chain_of_anchors_that_is_allowed_compiles() -> None:
    one = "type: trainable, value: false"
    links = "".join(f"  m{n}: {{{one}, start: m{n + 1}.start}}\n" for n in range(99))
    Path("my.yaml").write_text(f"length: 9ep\nmodifiers:\n{links}  m99: {{{one}}}\n")
    plan = compile_for(load_recipe("./my.yaml"), Net(), Horizon(10))
    assert len(plan.recipe.modifiers) == schema.MAX_MODIFIERS


@pytest.mark.parametrize(
    ("child", "phrase"),
    [
        ("modifiers: [a]  #!\n", "needs named entries"),
        ("modifiers:\n  prune: [a]  #!\n", "needs named entries"),
        ("modifiers:\n  prune: 3  #!\n", "needs a mapping"),
        ("modifiers:\n  prun: {schedule: linear}  #!\n", "Or did you mean 'prune'?"),
        ("modifiers:\n  prune: {schedule: cubik}  #!\n", "Did you mean 'cubic'?"),
        ("sparsity: 90  #!\n", HIGH),
        ("targets: {types: linear}  #!\n", "Did you mean 'Linear'?"),
    ],
)
def test_a_child_is_blamed_for_what_it_changes(child: str, phrase: str) -> None:
    check("defaults: [builtin/gradual, _self_]\n" + child, phrase)


@pytest.mark.parametrize("parent", ["gradual", "builtin/gradual"])
def test_a_child_may_swap_its_parents_fragment_or_is_told_where_it_cannot(parent: str) -> None:
    text = f"defaults:\n  - {parent}\n  - _parts@modifiers.finetune: finetune\n"
    Path("my.yaml").write_text(text)
    places = ["my.yaml:3"]
    try:
        assert load_recipe("./my.yaml").to_dict()["modifiers"]["finetune"]["factor"] == 0.2
    except RecipeError as error:
        places = [problem.where for problem in error.problems]
    assert places == ["my.yaml:3"]
