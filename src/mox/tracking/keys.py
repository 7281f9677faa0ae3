"""Names in MLflow's alphabet, and the lengths that MLflow would cut to without a word."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mox.spec import digest

PARAM = 6000
TAG = 8000
KEY = 250
DATASET_NAME = 500
DATASET_DIGEST = 36
RUN_NAME = 250
"""Most characters of each, from mlflow/utils/validation.py and the width of its column."""

SPLITS = ("dev", "test")
OVERFLOW = "long_values.json"
"""The artifact that holds what is too long to be a param or a tag."""

_ILLEGAL = re.compile(r"[^\w\-. /]")
_CUT = re.compile(r"(.+)_at_([1-9][0-9]*t?)")


def metric_key(measure: str, *, split: str | None = None, bound: str | None = None) -> str:
    """A measure or a cost in MLflow's alphabet: `recall@1000t` on dev → `dev_recall_at_1000t`.

    Args:
        split: `dev` or `test`; all questions where None.
        bound: `low` or `high`; the mean where None.
    """
    words = [split, legal_key(measure.replace("@", "_at_")), bound]
    return "_".join(word for word in words if word)


def measure_of(key: str) -> str:
    """The measure that `metric_key` wrote without split and bound: `recall_at_5` → `recall@5`."""
    form = _CUT.fullmatch(key)
    return f"{form[1]}@{form[2]}" if form else key


def legal_key(name: str) -> str:
    """A name as MLflow takes it: its alphabet, no empty parts, at most 250 characters."""
    plain = re.sub(r"/+", "/", _ILLEGAL.sub("_", name)).strip("/") or "_"
    if plain.startswith("."):
        plain = f"_{plain}"
    return plain if len(plain) <= KEY else f"{plain[: KEY - 9]}_{digest(name)[:8]}"


def text_of(value: object) -> str:
    """A setting as a param: numbers and text as they are, the rest as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(text_of(part) for part in value)}]"
    return str(value)


def shortened(text: str, most: int, *, see: str = "") -> str:
    """Text of at most `most` characters, ended with `…` where some was left out.

    Args:
        see: where the whole text is; named at the end.
    """
    if len(text) <= most:
        return text
    end = f"… ({len(text):,} characters, see {see})" if see else "…"
    return text[: most - len(end)] + end


def fitted(values: Mapping[str, str], most: int) -> tuple[dict[str, str], dict[str, str]]:
    """Values that fit, and those that don't, whole: they belong into the artifact `OVERFLOW`.

    Returns:
        (name → text of at most `most` characters, name → text that was too long).
    """
    long = {name: text for name, text in values.items() if len(text) > most}
    kept = {name: shortened(text, most, see=OVERFLOW) for name, text in values.items()}
    return kept, long
