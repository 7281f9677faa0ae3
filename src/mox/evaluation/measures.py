"""A measure is a metric at a cut, and prints as it is written: `recall@5`, `recall@1000t`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mox.errors import SpecError
from mox.evaluation import metrics
from mox.evaluation.ours import OURS, Evidence, Ours
from mox.registry import Entry, nearest
from mox.spec import canonical

if TYPE_CHECKING:
    from mox.types import Metric, Question

Unit = Literal["hits", "tokens"]

FORM = r"([A-Za-z_][A-Za-z0-9_-]*)@([1-9][0-9]{0,8})(t?)"
"""How a measure is written."""

_SAID: dict[Evidence, str] = {"spans": "spans", "documents": "graded documents (qrels)"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric after a number of hits, or within a context budget of tokens."""

    metric: str
    cut: int
    unit: Unit = "hits"

    def __post_init__(self) -> None:
        _entry(self.metric)
        if not 1 <= self.cut < 10**9:
            raise SpecError(
                f"{self.metric} cut at {self.cut}.", mend="cut at 1 or more hits or tokens."
            )

    @classmethod
    def parse(cls, text: str) -> Measure:
        """A measure from what `str` prints.

        Raises:
            SpecError: another form, or an unknown metric; names the nearest.
            MissingError: a plugin has the metric, and cannot be imported.
        """
        form = re.compile(FORM, re.ASCII).fullmatch(text.strip())
        if form is None:
            raise SpecError(
                f"{text!r} is no measure.",
                mend="write a metric and its cut: recall@5 (hits) or recall@1000t (tokens).",
            )
        metric, cut, tokens = form.groups()
        return cls(metric, int(cut), "tokens" if tokens else "hits")

    def __str__(self) -> str:
        return f"{self.metric}@{self.cut}{'t' if self.unit == 'tokens' else ''}"


def _entry(name: str) -> Entry[Metric | Ours]:
    try:
        return metrics.entry(name)
    except SpecError:
        known = metrics.kinds()
        raise SpecError(
            f"unknown metric {name!r}{nearest(name.lower(), known)}.",
            mend=f"use one of {', '.join(known)}, or install what brings {name!r}.",
        ) from None


def judge_of(measure: Measure, form: Evidence) -> Metric | Ours:
    """What computes a measure from one form of evidence.

    Raises:
        SpecError: this evidence can't give it.
    """
    entry = _entry(measure.metric)
    if form not in entry.traits.get("evidence", tuple(_SAID)):
        able = [name for name, metric in OURS.items() if form in metric.evidence]
        raise SpecError(
            f"{measure} can't be had from evidence as {_SAID[form]}.",
            mend=f"measure one of {', '.join(able)}.",
        )
    return entry.backend


def check(measures: Iterable[Measure], questions: Iterable[Question]) -> None:
    """Refuse measures that these questions' evidence can't give.

    Raises:
        SpecError: no question has evidence, or some have it in a form that a measure lacks.
    """
    answerable = [question.evidence for question in questions if question.answerable]
    if not answerable:
        raise SpecError(
            "no question has evidence, so nothing can be measured.",
            mend="label questions with spans, or with documents' grades.",
        )
    by_spans = any(evidence.groups for evidence in answerable)
    by_documents = any(not evidence.groups for evidence in answerable)
    for measure in measures:
        if by_spans:
            judge_of(measure, "spans")
        if by_documents:
            judge_of(measure, "documents")


def fingerprint(measures: Iterable[Measure]) -> dict[str, str]:
    """What scores depend on beyond our own code: third parties' metrics, by name.

    Empty where all metrics are ours. Theirs see the documents' texts, so a stage that scores by
    them stands on these as well.
    """
    found = {}
    for name in dict.fromkeys(measure.metric for measure in measures):
        if not isinstance(_entry(name).backend, Ours):
            spec = metrics.parse({"kind": name})
            made_by = metrics.fingerprint(spec)
            found[name] = canonical({"spec": spec.model_dump(mode="json"), "made by": made_by})
    return found
