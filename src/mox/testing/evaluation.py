"""What every metric is held to, ours and third parties'; subclass `MetricContract` for your own."""
# ruff: noqa: S101

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from mox.evaluation import metrics
from mox.evaluation.cuts import TokenEnds
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score
from mox.retrieval.hits import ranked
from mox.spec import Spec
from mox.types import ChunkTable, Evidence, Question, Span

DOCUMENTS = {
    "zoo": "The zoo opens at nine. The lions are fed at noon. Tickets cost four pounds.",
    "odd": "\U0001f469\u200d\U0001f467 \u6771\u4eac\u90fd e\u0301 \x00 \u05de\u05d5\u05d3\u05dc",
    "ant": "Ants are small.",
}
CUTS = {"zoo": [0, 22, 49, 75], "odd": [0, 17], "ant": [0, 15]}
"""Where the chunks begin and end. The evidence is the lions' sentence, or all of its document."""

ASKED = "When are the lions fed?"
RIGHT, WRONG = [1], [3, 4]
"""Rows of the table below: the lions' sentence; chunks of other documents."""


class MetricContract:
    """Override `spec`. Questions are asked by every form of evidence that the metric judges."""

    @pytest.fixture
    def spec(self) -> Spec:
        """The metric's Spec; measures have no settings, so it is the default one."""
        raise NotImplementedError("override the fixture `spec`")

    @pytest.fixture
    def questions(self, spec: Spec) -> list[Question]:
        """The same question with evidence of each form that the metric judges."""
        by_form = {
            "spans": Evidence(groups=((Span("zoo", 23, 49),),)),
            "documents": Evidence(grades={"zoo": 1}),
        }
        forms = metrics.entry(spec.kind).traits.get("evidence", tuple(by_form))
        return [Question(form, ASKED, "g", by_form[form]) for form in forms]

    def values(
        self, spec: Spec, questions: Sequence[Question], rows: Sequence[int], cut: str = "5"
    ) -> list[float]:
        """What the metric gives each question that finds these rows of `table`, best first."""
        chunks, ends = table()
        relevance = prepare(chunks, questions, ends=ends, sources=DOCUMENTS)
        measure = Measure.parse(f"{spec.kind}@{cut}")
        ids = np.tile([*rows, -1], (len(questions), 1))
        order = -np.arange(ids.shape[1], dtype=np.float32)
        hits = ranked(ids, np.tile(order, (len(questions), 1)), k=ids.shape[1])
        found: list[float] = score(relevance, [measure], hits).values[str(measure)].tolist()
        return found

    def test_a_measure_of_it_prints_and_parses(self, spec: Spec) -> None:
        for cut in ("5", "1000t"):
            assert str(Measure.parse(f"{spec.kind}@{cut}")) == f"{spec.kind}@{cut}"

    def test_it_needs_no_settings(self, spec: Spec) -> None:
        assert metrics.parse({"kind": spec.kind}) == spec

    def test_it_says_what_its_results_depend_on(self, spec: Spec) -> None:
        found = metrics.fingerprint(spec)
        assert found
        assert all(isinstance(part, str) for pair in found.items() for part in pair)

    @pytest.mark.parametrize("cut", ["1", "5", "1t", "5t", "1000t"])
    @pytest.mark.parametrize("rows", [[], RIGHT, WRONG, [1, 0], [4, 1, 2], [3, 4, 2, 1, 0]])
    def test_whatever_is_found_has_a_value(
        self, spec: Spec, questions: list[Question], rows: list[int], cut: str
    ) -> None:
        values = self.values(spec, questions, rows, cut)
        assert all(0 <= value <= 1 for value in values)

    def test_evidence_is_worth_no_less_than_other_text(
        self, spec: Spec, questions: list[Question]
    ) -> None:
        right, wrong = (self.values(spec, questions, rows) for rows in (RIGHT, WRONG))
        assert all(more >= less for more, less in zip(right, wrong, strict=True))

    def test_asking_again_gives_the_same(self, spec: Spec, questions: list[Question]) -> None:
        first = self.values(spec, questions, [4, 1, 0])
        self.values(spec, questions, WRONG)
        assert self.values(spec, questions, [4, 1, 0]) == first

    def test_other_questions_do_not_change_a_value(
        self, spec: Spec, questions: list[Question]
    ) -> None:
        other = Question("other", "Who?", "g", questions[0].evidence)
        alone = self.values(spec, questions, [4, 1, 0])
        assert self.values(spec, [other, *questions, other], [4, 1, 0])[1:-1] == alone


def table() -> tuple[ChunkTable, TokenEnds]:
    """The chunks in tie order: documents by id descending; a token for every character."""
    placed = [
        (name, span)
        for name in sorted(DOCUMENTS, reverse=True)
        for span in itertools.pairwise(CUTS[name])
    ]
    names = tuple(DOCUMENTS)
    lengths = [end - start for _, (start, end) in placed]
    chunks = ChunkTable(
        documents=names,
        document=np.array([names.index(name) for name, _ in placed], dtype=np.int32),
        first=np.arange(len(placed) + 1, dtype=np.int32),
        start=np.array([start for _, (start, _) in placed], dtype=np.int32),
        end=np.array([end for _, (_, end) in placed], dtype=np.int32),
        texts=tuple(DOCUMENTS[name][slice(*span)] for name, span in placed),
    )
    ends = np.concatenate([np.arange(1, length + 1) for length in lengths])
    first = np.cumsum([0, *lengths])
    return chunks, TokenEnds(first.astype(np.int32), ends.astype(np.int32))
