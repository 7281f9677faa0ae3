"""A measure is a metric at a cut, and prints as it is written: `recall@5`, `recall@1000t`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from mox.errors import SpecError
from mox.evaluation.documents import DOCUMENT_METRICS
from mox.evaluation.spans import SPAN_METRICS
from mox.registry import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Question

Unit = Literal["hits", "tokens"]

METRICS = tuple(dict.fromkeys([*SPAN_METRICS, *DOCUMENT_METRICS]))
"""Every metric's name, whatever the evidence."""

_FORM = re.compile(r"([A-Za-z_]+)@([1-9][0-9]{0,8})(t?)")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric after a number of hits, or within a context budget of tokens."""

    metric: str
    cut: int
    unit: Unit = "hits"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise SpecError(
                f"unknown metric {self.metric!r}{nearest(self.metric.lower(), METRICS)}.",
                mend=f"use one of {', '.join(METRICS)}.",
            )
        if not 1 <= self.cut < 10**9:
            raise SpecError(
                f"{self.metric} cut at {self.cut}.", mend="cut at 1 or more hits or tokens."
            )

    @classmethod
    def parse(cls, text: str) -> Measure:
        """A measure from what `str` prints.

        Raises:
            SpecError: another form, or an unknown metric; names the nearest.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise SpecError(
                f"{text!r} is no measure.",
                mend="write a metric and its cut: recall@5 (hits) or recall@1000t (tokens).",
            )
        metric, cut, tokens = form.groups()
        return cls(metric, int(cut), "tokens" if tokens else "hits")

    def __str__(self) -> str:
        return f"{self.metric}@{self.cut}{'t' if self.unit == 'tokens' else ''}"


S = TypeVar("S")


@dataclass(frozen=True)
class Form(Generic[S]):
    """A form of evidence, and the metrics that it can give."""

    name: str
    metrics: Mapping[str, Callable[[S], NDArray[np.float64]]]


SPANS = Form("spans", SPAN_METRICS)
DOCUMENTS = Form("graded documents (qrels)", DOCUMENT_METRICS)


def metric(measure: Measure, form: Form[S]) -> Callable[[S], NDArray[np.float64]]:
    """What computes a measure from one form of evidence.

    Raises:
        SpecError: this evidence can't give it.
    """
    if measure.metric not in form.metrics:
        raise SpecError(
            f"{measure} can't be had from evidence as {form.name}.",
            mend=f"measure one of {', '.join(form.metrics)}.",
        )
    return form.metrics[measure.metric]


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
            metric(measure, SPANS)
        if by_documents:
            metric(measure, DOCUMENTS)
