"""Metrics: one that is silly and small, and one that fails."""

from __future__ import annotations

from typing import Literal

from mox.evaluation import metrics
from mox.registry import versions
from mox.spec import Spec
from mox.types import Shown


class Words(Spec):
    """Share of the question's words that its reader is shown."""

    kind: Literal["toy-words"] = "toy-words"


class Nan(Spec):
    """No number for one question, and 1 for all others."""

    kind: Literal["toy-nan"] = "toy-nan"


@metrics.register(Words, fingerprint=lambda _: versions("mox-toy"))
def words(_: Words, shown: Shown) -> float:
    """Words as white space parts them."""
    asked = shown.question.text.lower().split()
    seen = {word for one in shown.passages for word in one.text.lower().split()}
    return sum(word in seen for word in asked) / len(asked)


@metrics.register(Nan, fingerprint=lambda _: versions("mox-toy"), evidence=("spans",))
def nan(_: Nan, shown: Shown) -> float:
    """As when something is divided by nothing."""
    return float("nan") if shown.question.id == "q-03-1" else 1.0
