"""Our metrics by name: what each makes of spans, of graded documents, or of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, create_model

from mox.evaluation import documents, metrics, spans
from mox.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.evaluation.documents import DocumentsSeen
    from mox.evaluation.seen import SpansSeen

    Reals = NDArray[np.float64]

Evidence = Literal["spans", "documents"]
"""The forms of evidence."""


@dataclass(frozen=True)
class Ours:
    """A metric over all questions at once, by form of evidence; None where it has no meaning.

    Each takes what is seen and gives (questions,) in [0, 1].
    """

    spans: Callable[[SpansSeen], Reals] | None = None
    documents: Callable[[DocumentsSeen], Reals] | None = None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        forms: dict[Evidence, object] = {"spans": self.spans, "documents": self.documents}
        return tuple(form for form, function in forms.items() if function is not None)


OURS: Mapping[str, Ours] = {
    "recall": Ours(spans.recall, documents.recall),
    "precision": Ours(spans.precision),
    "iou": Ours(spans.iou),
    "set_precision": Ours(spans.set_precision),
    "set_iou": Ours(spans.set_iou),
    "omega": Ours(spans.omega),
    "set_omega": Ours(spans.set_omega),
    "hit": Ours(spans.hit),
    "full": Ours(spans.full),
    "span_recall": Ours(spans.span_recall),
    "map": Ours(None, documents.average_precision),
    "mrr": Ours(spans.mrr, documents.mrr),
    "ndcg": Ours(spans.ndcg, documents.ndcg),
}


class _Plain(Spec):
    # Looking for docstrings of models that no file holds takes 15 ms each.
    model_config = ConfigDict(use_attribute_docstrings=False)


for name, metric in OURS.items():
    kind = create_model(name, __base__=_Plain, kind=(str, name))
    metrics.register(kind, fingerprint=lambda _: {"version": "the stage's"},
                     evidence=metric.evidence)(metric)  # fmt: skip
