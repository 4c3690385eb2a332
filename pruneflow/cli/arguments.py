"""A command line in Hydra's language: flags and overrides in any order."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from pruneflow.cli.controls import expanded
from pruneflow.cli.quoting import grammatical, unquoted
from pruneflow.errors import ConfigError
from pruneflow.recipe import library
from pruneflow.recipe.compose import spelled_out


def parse(arguments: Sequence[str]) -> Namespace:
    """Hydra's own flags, with ``overrides`` as Hydra is to see them.

    Raises:
        ConfigError: A word that is neither a flag nor ``key=value``, or a flag that is unsafe.
    """
    from hydra._internal.utils import get_args_parser

    overrides = [word for word in arguments if _is_override(word)]
    flags = [word for word in arguments if not _is_override(word)]
    parser = get_args_parser()  # Hydra's own, so that its errors can only be replaced in place
    parser.error = _fail  # type: ignore[method-assign, assignment]
    parsed = parser.parse_args([*flags, "--", *overrides])
    if parsed.experimental_rerun:
        raise ConfigError("--experimental-rerun would unpickle a file: use run=FOLDER instead")
    for word in parsed.overrides:
        if not _is_override(word):
            hint = f" Did you mean 'recipe={word}'?" if library.find(word) else ""
            raise ConfigError(f"'{word}' is neither a flag nor key=value.{hint}")
        if not word.partition("=")[0].strip("+~@/. "):
            raise ConfigError(f"'{word}' names no key; write key=value")
    words = expanded(parsed.overrides, parsed.multirun)
    parsed.overrides = spelled_out([grammatical(word) for word in words])
    return parsed


def only_shows(parsed: Namespace) -> bool:
    """Whether the command line asks for information, and nothing is to be run."""
    return bool(
        parsed.help
        or parsed.hydra_help
        or parsed.cfg
        or parsed.info is not None
        or parsed.shell_completion
    )


def value(overrides: Sequence[str], key: str) -> str | None:
    """The last value given to a key, as text without Hydra's quotes."""
    found = [unquoted(word) for word in overrides if word.startswith(f"{key}=")]
    return found[-1] if found else None


def without(overrides: Sequence[str], *keys: str) -> list[str]:
    """The overrides of all other keys."""
    return [word for word in overrides if word.partition("=")[0] not in keys]


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith(("~", "+")))


def _fail(message: str) -> None:
    raise ConfigError(message)
