"""Hydra's quotes: put around file names that its grammar would not take as they are."""

from __future__ import annotations

from pruneflow.recipe import library

RECIPE = "recipe"
PATHS = (
    "hydra.run.dir", "hydra.sweep.dir", "ckpt_path", "model.weights", "data.root", "run", "out",
)  # fmt: skip
_REFUSED = object()


def quoted(text: str) -> str:
    """Text as one value in Hydra's language, taken literally."""
    return _quoted(text.replace("${", r"\${"))


def unquoted(override: str) -> str:
    """The value of ``key=value`` without Hydra's quotes; without any, just as it stands."""
    from hydra.core.override_parser.types import QuotedString

    raw = override.partition("=")[2]
    parsed = _parsed(override) if _has_quotes(raw) else None
    return parsed.text if isinstance(parsed, QuotedString) else raw


def grammatical(override: str) -> str:
    """An override with quotes where its value is a file's or recipe's name that needs them."""
    key, _, text = override.partition("=")
    if key.lstrip("+") == RECIPE:
        return f"{key}={_recipes(text)}"
    if key.lstrip("+") in PATHS and _parsed(override) is _REFUSED:
        return f"{key}={_quoted(text)}"
    return override


def _recipes(text: str) -> str:
    """The value of ``recipe=``: one recipe, or several with commas between them."""
    if library.find(text) is not None:
        return _name(text)
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and all(_is_recipe(part) for part in parts):
        return ",".join(_name(part) for part in parts)
    return text


def _is_recipe(name: str) -> bool:
    return _has_quotes(name) or library.find(name) is not None


def _name(text: str) -> str:
    is_plain = _has_quotes(text) or _parsed(f"{RECIPE}={text}") == text
    return text if is_plain else quoted(text)


def _has_quotes(text: str) -> bool:
    return text[:1] in ("'", '"')


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _parsed(override: str) -> object:
    """A value as Hydra's parser reads it, or ``_REFUSED``."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)._value
    except HydraException:
        return _REFUSED
