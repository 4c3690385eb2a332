"""The one Hypothesis vocabulary of PruneFlow's tests; new features join it here."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pruneflow.modifiers.lr import RAMPS
from pruneflow.pruning.allocation import ALLOCATIONS
from pruneflow.pruning.penalties import PENALTIES
from pruneflow.pruning.scope import Layer
from pruneflow.timeline import Horizon

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_profile() -> None:
    """Repeatable, without a clock, and short enough for one core."""
    settings.register_profile(
        "pruneflow",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=60,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.load_profile("pruneflow")


# -- time ----------------------------------------------------------------------------------


@st.composite
def times(draw: st.DrawFn, units: tuple[str, ...] = ("ep", "st", "%"), most: int = 10**6) -> str:
    """A time as a person may write it: ``3ep``, ``2.50ep``, ``400 st``, ``30%``."""
    unit = draw(st.sampled_from(units))
    if unit == "%":
        return f"{draw(st.integers(0, 10_000)) / 100:.{draw(st.integers(2, 9))}f}%"
    text = str(draw(st.integers(0, most)))
    if unit != "st" and draw(st.booleans()):
        text += "." + draw(st.text("0123456789", min_size=1, max_size=20))
    return text + draw(st.sampled_from(["", " "])) + unit


def horizons() -> st.SearchStrategy[Horizon]:
    """A clock whose run is whole or broken off inside an epoch."""
    return st.builds(Horizon, st.integers(1, 5000), st.integers(1, 10**6))


# -- numbers -------------------------------------------------------------------------------


def sparsities(below: float = 1.0) -> st.SearchStrategy[float]:
    """A share with at most four decimals, as people write them."""
    return st.integers(0, 9999).map(lambda n: n / 10000).filter(lambda share: share < below)


@st.composite
def weights(
    draw: st.DrawFn, dtype: torch.dtype | None = None, infinities: bool = False, most: int = 40
) -> torch.Tensor:
    """A flat tensor: any floating dtype, many ties, both zeros, both signs."""
    if dtype is None:
        dtype = draw(st.sampled_from(DTYPES))
    special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0**-14]
    special += [float("inf"), float("-inf")] if infinities else []
    number = st.sampled_from(special) | st.floats(-100, 100, width=16)
    return torch.tensor(draw(st.lists(number, min_size=1, max_size=most)), dtype=dtype)


@st.composite
def weight_lists(draw: st.DrawFn, infinities: bool = False) -> list[torch.Tensor]:
    """One to four flat tensors of one dtype."""
    dtype = draw(st.sampled_from(DTYPES))
    return draw(st.lists(weights(dtype, infinities), min_size=1, max_size=4))


# -- networks ------------------------------------------------------------------------------


@st.composite
def layer_lists(draw: st.DrawFn, most_rows: int = 60, most_columns: int = 60) -> list[Layer]:
    """One to six layers with roles, from single weights to long and to wide ones."""
    sides = st.tuples(st.integers(1, most_rows), st.integers(1, most_columns))
    shapes = draw(st.lists(sides, min_size=1, max_size=6))
    roles = {0: "input", len(shapes) - 1: "output"} if len(shapes) > 1 else {0: "output"}
    return [
        Layer(f"fc{index}.weight", ("Linear", "Module"), shape, roles.get(index, ""))
        for index, shape in enumerate(shapes)
    ]


# -- recipes -------------------------------------------------------------------------------

NAMES = ("fc1", "fc2", "output", "input", "fc*", "*.weight")


def targets() -> st.SearchStrategy[Any]:
    """A choice of layers in every form the language has."""
    names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
    types = st.lists(st.sampled_from(("Linear", "Conv2d")), min_size=1, max_size=2, unique=True)
    parts = st.fixed_dictionaries({}, optional={"types": types, "names": names, "ignore": names})
    return st.sampled_from(NAMES) | names | parts


def _optional(**parts: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {"targets": targets(), "ignore": st.lists(st.sampled_from(NAMES), max_size=2), **parts}


def _prunes() -> st.SearchStrategy[dict[str, Any]]:
    fixed = {
        "type": st.just("prune"),
        "sparsity": sparsities(),
        "end": times(),
        "schedule": st.sampled_from(("linear", "cubic", "polynomial", "cosine", "exponential")),
    }
    more = _optional(
        start=times(),
        every=times(),
        power=st.floats(0.5, 5),
        criterion=st.sampled_from(("magnitude", "random")),
        allocation=st.sampled_from(list(ALLOCATIONS)),
        max_layer_sparsity=st.floats(0, 1),
        min_nonzeros=st.integers(0, 100),
        granularity=st.sampled_from(("unstructured", "filter")) | _blocks(),
    )
    return st.fixed_dictionaries(fixed, optional=more)


def _blocks() -> st.SearchStrategy[dict[str, Any]]:
    side = st.integers(1, 64)
    return st.fixed_dictionaries({"block": st.tuples(side, side).map(list)})


def _nm_prunes() -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.lists(st.integers(1, 32), min_size=2, max_size=2, unique=True).map(sorted)
    fixed = {
        "type": st.just("prune"),
        "granularity": pairs.map(lambda pair: f"{pair[0]}:{pair[1]}"),
    }
    return st.fixed_dictionaries(fixed, optional=_optional(start=times(), end=times()))


def _multistep_prunes() -> st.SearchStrategy[dict[str, Any]]:
    table = st.dictionaries(times(), sparsities(), min_size=1, max_size=3)
    fixed = {"type": st.just("prune"), "schedule": st.just("multistep"), "milestones": table}
    return st.fixed_dictionaries(fixed, optional=_optional())


def _iterative_prunes() -> st.SearchStrategy[dict[str, Any]]:
    fraction = st.floats(0.01, 0.99)
    table = st.dictionaries(st.sampled_from((*NAMES, "default")), fraction, min_size=1)
    fixed = {
        "type": st.just("iterative_prune"),
        "every": times(),
        "rewind_to": st.just("init") | times(),
        "fraction": fraction | table,
    }
    more = _optional(start=times(), rewind=st.sampled_from(("weights+lr", "lr")))
    goals = st.fixed_dictionaries({"rounds": st.integers(1, 30)}) | st.fixed_dictionaries(
        {"sparsity": sparsities()}
    )
    return st.builds(lambda a, b: a | b, st.fixed_dictionaries(fixed, optional=more), goals)


def _freezes() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("freeze_mask")}, optional=_optional(start=times())
    )


def _rates() -> st.SearchStrategy[dict[str, Any]]:
    ramps = st.fixed_dictionaries(
        {
            "type": st.just("lr"),
            "schedule": st.sampled_from(RAMPS),
            "factor": st.floats(0.001, 10),
        },
        optional={"start": times(), "end": times(), "init": st.floats(0.001, 1), "warmup": times()},
    )
    stairs = st.fixed_dictionaries(
        {
            "type": st.just("lr"),
            "schedule": st.just("multistep"),
            "gamma": st.floats(0.01, 1),
            "milestones": st.lists(times(), min_size=1, max_size=3),
        }
    )
    return ramps | stairs


def _spans() -> st.SearchStrategy[dict[str, Any]]:
    during = {"start": times(), "end": times()}
    penalty = {
        "type": st.just("regularize"),
        "kind": st.sampled_from(list(PENALTIES)),
        "strength": st.floats(1e-9, 10),
    }
    still = {"type": st.just("trainable"), "value": st.just(False)}
    decay = {"type": st.just("weight_decay")}
    amount = st.sampled_from(("value", "factor"))
    decays = st.builds(
        lambda span, key, number: {**span, key: number},
        st.fixed_dictionaries(decay, optional=during),
        amount,
        st.floats(0, 10),
    )
    penalties = st.fixed_dictionaries(penalty, optional=_optional(**during))
    return penalties | st.fixed_dictionaries(still, optional=_optional(**during)) | decays


def _moving_masks() -> st.SearchStrategy[dict[str, Any]]:
    level = {
        "allocation": st.sampled_from(list(ALLOCATIONS)),
        "max_layer_sparsity": st.floats(0, 1),
        "min_nonzeros": st.integers(0, 100),
        "start": times(),
        "end": times(),
    }
    dynamic = _optional(
        **level,
        every=times(),
        drop_fraction=st.floats(0.01, 0.99),
        growth=st.sampled_from(("gradient", "random")),
        criterion=st.sampled_from(("magnitude", "random")),
    )
    return st.fixed_dictionaries(
        {"type": st.just("dynamic_sparse"), "sparsity": sparsities()}, optional=dynamic
    ) | st.fixed_dictionaries(
        {"type": st.just("acdc"), "sparsity": sparsities()},
        optional=_optional(**level, phase=times()),
    )


def _distills() -> st.SearchStrategy[dict[str, Any]]:
    fixed = {"type": st.just("distill"), "start": times()}
    hints = {"hints": st.lists(st.sampled_from(NAMES), min_size=1), "hint_weight": st.just(0.5)}
    optional = {
        "end": times(),
        "teacher": st.sampled_from(("snapshot", "dense.ckpt", "./runs/a b/dense.safetensors")),
        "temperature": st.floats(0.5, 20),
        "alpha": st.floats(0, 1),
        "output": st.sampled_from(("head", "body.0")),
    }
    return st.fixed_dictionaries(fixed, optional=optional) | st.fixed_dictionaries(fixed | hints)


def _calibrated() -> st.SearchStrategy[dict[str, Any]]:
    """Words that watch the network on calibration batches."""
    batches = st.integers(1, 200)
    fixed = {
        "type": st.just("oneshot_prune"),
        "criterion": st.sampled_from(("wanda", "sparsegpt", "snip", "synflow")),
        "sparsity": sparsities(),
    }
    more = {
        "allocation": st.sampled_from(("uniform", "erk", "per_layer")),
        "max_layer_sparsity": st.floats(0, 1),
    }
    prunes = st.fixed_dictionaries(
        fixed, optional=_optional(start=times(), batches=batches, **more)
    )
    recalibrates = st.fixed_dictionaries(
        {"type": st.just("recalibrate_bn")}, optional={"start": times(), "batches": batches}
    )
    return prunes | recalibrates


def modifier_trees() -> st.SearchStrategy[dict[str, Any]]:
    """A modifier as YAML gives it: correct by itself, whatever network and run it meets."""
    prunes = _prunes() | _nm_prunes() | _multistep_prunes() | _iterative_prunes()
    others = _freezes() | _rates() | _spans() | _moving_masks() | _distills()
    return prunes | others | _calibrated()


# -- JSON of strangers ---------------------------------------------------------------------


def json_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
    )
