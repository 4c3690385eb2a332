"""What a person may ask of deploy, and what they are told where they may not."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.backends import BACKENDS
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choices import AUTO, CHOICES, GOALS
from pruneflow.deploy.place import PRECISIONS
from pruneflow.deploy.settings import MOST, Settings
from pruneflow.errors import ConfigError
from tests.strategies import json_values

KEYS = tuple(field.name for field in fields(Settings))


def test_what_nobody_says() -> None:
    assert Settings.from_tree({}) == Settings()
    assert (Settings().goal, Settings().values, Settings().backend) == ("balanced", AUTO, AUTO)
    assert Settings().batches == (1, 16, 64)
    assert Settings().max_accuracy_drop == 0.5


@pytest.mark.parametrize("key", ["candidates", "batches", "threads"])
def test_one_value_is_a_list_of_one(key: str) -> None:
    value: Any = "torch" if key == "candidates" else 1
    one = Settings.from_tree({key: value})
    assert one == Settings.from_tree({key: [value]}) == Settings(**{key: (value,)})
    assert getattr(one, key) == (value,)


def test_words_that_are_known_without_torch_are_those_that_are_registered() -> None:
    assert set(CHOICES) <= set(KEYS)
    assert set(CHOICES["backend"]) == {AUTO, *BACKENDS}
    assert set(CHOICES["candidates"]) == set(BACKENDS)
    assert set(CHOICES["values"]) == {AUTO, *CODECS}
    assert set(CHOICES["precision"]) == set(PRECISIONS)


def asked(tree: Any) -> Settings | ConfigError:
    """The settings, or why there are none."""
    try:
        return Settings.from_tree(tree)
    except ConfigError as error:
        return error


@given(st.dictionaries(st.sampled_from((*KEYS, "x")), json_values(), max_size=3) | json_values())
def test_whatever_is_asked_is_told_or_can_be(tree: Any) -> None:
    found = asked(tree)
    if isinstance(found, ConfigError):
        assert str(found).startswith("deploy")
        assert found.exit_code == 2
        return
    assert found.goal in GOALS
    assert found.values in (AUTO, *CODECS)
    assert found.backend in (AUTO, *BACKENDS)
    assert all(type(batch) is int and 1 <= batch <= MOST for batch in found.batches)
    assert 0 <= found.seconds < float("inf")
    assert 0 <= found.max_accuracy_drop < float("inf")
    assert Settings.from_tree({key: getattr(found, key) for key in KEYS}) == found


MISTAKES: list[tuple[Any, str]] = [
    ({"gaol": "size"}, "deploy: unknown key 'gaol'. Did you mean 'goal'? Allowed: activations, "),
    ({"device": "gpu"}, "deploy.device: 'gpu' is unknown."),
    ({"precision": "bf61"}, "deploy.precision: 'bf61' is unknown. Did you mean 'bf16'?"),
    ({"precision": "bf16"}, "deploy.precision=bf16: engines on a CPU compute in fp32; add deploy."),
    ({"target": "cubins"}, "deploy.target: 'cubins' is unknown. Did you mean 'cubin'?"),
    ({"arch": "sm_9"}, "deploy.arch: 'sm_9' is unknown. Did you mean 'sm_90'?"),
    ({"device": "cuda", "threads": 2}, "deploy.threads: there are none to choose on a GPU"),
    (
        {"target": "cubin", "backend": "c"},
        "deploy.backend=c: nothing runs with deploy.tar",
    ),
    ({"goal": "sise"}, "deploy.goal: 'sise' is unknown. Did you mean 'size'? Allowed: balanced, "),
    ({"values": "int4"}, "deploy.values: 'int4' is unknown. Did you mean 'int8'? Allowed: auto, "),
    ({"backend": "trch"}, "deploy.backend: 'trch' is unknown. Did you mean 'torch'?"),
    ({"candidates": ["torch", "d"]}, "deploy.candidates: 'd' is unknown. Allowed: c, onnxruntime"),
    ({"batches": None}, "deploy.batches: name at least one whole number from 1 to 65536"),
    ({"batches": []}, "deploy.batches: name at least one whole number from 1 to 65536"),
    ({"batches": [1, 1.5]}, "deploy.batches: '1.5' is no whole number from 1 to 65536"),
    ({"batches": "many"}, "deploy.batches: 'many' is no whole number from 1 to 65536"),
    ({"batches": 2**17}, "deploy.batches: '131072' is no whole number from 1 to 65536"),
    ({"batches": [4, 4]}, "deploy.batches: one of them stands there twice"),
    ({"threads": 0}, "deploy.threads: '0' is no whole number from 1 to 4, the cores of this"),
    ({"threads": [1, 5]}, "deploy.threads: '5' is no whole number from 1 to 4, the cores of this"),
    ({"seconds": -1}, "deploy.seconds: '-1' is no number from 0"),
    ({"seconds": "fast"}, "deploy.seconds: 'fast' is no number from 0"),
    ({"seconds": float("inf")}, "deploy.seconds: 'inf' is no number from 0"),
    ({"seconds": True}, "deploy.seconds: 'True' is no number from 0"),
    ({"max_accuracy_drop": float("nan")}, "deploy.max_accuracy_drop: 'nan' is no number from 0"),
    ({"max_accuracy_drop": float("inf")}, "deploy.max_accuracy_drop: 'inf' is no number from 0"),
    ({"max_accuracy_drop": None}, "deploy.max_accuracy_drop: 'None' is no number from 0"),
    (
        "size",
        "deploy: needs goal, values, backend, candidates, batches, threads, max_accuracy_drop",
    ),
]


@pytest.mark.parametrize(("tree", "words"), MISTAKES)
def test_a_mistake_is_named_with_what_may_stand_there(
    tree: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    with pytest.raises(ConfigError) as told:
        Settings.from_tree(tree)
    assert str(told.value).startswith(words)
