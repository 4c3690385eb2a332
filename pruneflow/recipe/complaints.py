"""Hydra's complaints in our words: what is wrong, where, and what to write instead."""

from __future__ import annotations

import re
from types import TracebackType

from pruneflow.errors import Problem, PruneFlowError, RecipeError, did_you_mean
from pruneflow.recipe import library
from pruneflow.recipe.schema import KNOBS

_LONG_KNOB = re.compile(rf"^recipe\.({'|'.join(KNOBS)})=")

_SWEEP, _RAY = "'pruneflow[sweep]'", "'pruneflow[ray]', in an environment without pruneflow[sweep]"
SLIPS = (AssertionError, AttributeError, KeyError, TypeError)
"""What Hydra does not check itself it stumbles over."""

PLUGINS = {
    "hydra/launcher/joblib": _SWEEP,
    "hydra/launcher/submitit_local": _SWEEP,
    "hydra/launcher/submitit_slurm": _SWEEP,
    "hydra/launcher/ray": _RAY,
    "hydra/launcher/ray_aws": _RAY,
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
}
"""What brings the choices of Hydra's groups that are plugins."""


class reported:  # noqa: N801  (reads as a word in a with statement)
    """Context: Hydra's and OmegaConf's complaints become a ``RecipeError`` without traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(error, HydraException | OmegaConfBaseException | ValueError):
            cause = error.__cause__
            if isinstance(cause, PruneFlowError):
                raise cause from None
            raise RecipeError(Problem("", plainly(error))) from None
        if isinstance(error, SLIPS) and _is_hydras(trace):
            text = f"Hydra cannot compose this ({type(error).__name__}{f': {error}'.rstrip(': ')})"
            mend = "what is chosen from a group, as by recipe= or model=, is a name"
            raise RecipeError(Problem("", f"{text}; {mend}")) from None


def _is_hydras(trace: TracebackType | None) -> bool:
    """Whether an error came up in Hydra's own code, or OmegaConf's, and not in what that calls."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] in ("hydra", "omegaconf")


def plainly(error: BaseException) -> str:
    """Hydra's message in one or two lines."""
    from hydra.errors import OverrideParseException

    if isinstance(error, OverrideParseException):
        mend = "write KEY=VALUE, with quotes around a VALUE that holds special characters"
        return f"{typed(error.override)}: is not understood; {mend}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    if cause is not None and str(cause) not in str(error):
        lines += [line.strip() for line in str(cause).splitlines()[:1]]
    text = " ".join(line for line in lines if not line.startswith(("full_key", "object_type")))
    if absent := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return _absent(absent[1], text)
    if several := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{typed(several[1])}: several values; to run a job for each, add -m"
    if gone := re.search(r"Could not delete from config. '([^']+)' does not exist", text):
        return f"command line (~{gone[1]}): there is no '{gone[1]}' to delete"
    missing = re.search(r"Key '([^']+)' is not in struct", text)
    known = re.search(r"Could not override '([^']+)'", text)
    if missing and known:
        return (
            f"command line ({known[1]}=…): there is no key '{known[1]}' to override; "
            f"write '+{known[1]}=…' if it is meant to be new"
        )
    return text


def _absent(wanted: str, text: str) -> str:
    """The message for a configuration file that is not there."""
    group, _, name = wanted.rpartition("/")
    if group.partition("/")[0] == "recipe":
        return library.unknown(wanted.removeprefix("recipe/"))
    if wanted in PLUGINS:
        return f"{group}={name} needs: pip install {PLUGINS[wanted]}"
    available = re.search(r"Available options in '[^']+': (.*?)(?: Config search path|$)", text)
    options = available[1].split() if available else []
    return f"no '{name}' in {group or 'conf'}.{did_you_mean(name, options, always=True)}"


def typed(override: str) -> str:
    """The place of an override, as the person typed it."""
    short = _LONG_KNOB.sub(r"\1=", override.removeprefix("++"))
    return f"command line ({short})"
