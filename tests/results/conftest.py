"""Results made by hand: real artifacts in a real store, of documents and hits that we write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.chunking.tokenizers import open_tokenizer
from mox.evaluation.cuts import TokenEnds
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.pipeline.work import returned_text
from mox.results import Results, Run, TrialRun
from mox.retrieval.hits import ranked
from mox.types import ChunkTable, Corpus, Document, Evidence, Question, Span

SCRIPT = "<script>alert('x')</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
HOSTILE = f"{SCRIPT} & {IMAGE}"
"""What a page must show as text and never as markup."""


def hostile_documents() -> list[Document]:
    """Four documents whose ids and texts are markup."""
    found = []
    for at in range(4):
        lines = [
            f"Line {row} of book {at} says {SCRIPT if row % 2 else IMAGE}." for row in range(8)
        ]
        found.append(Document(f"book{at}{SCRIPT}", "\n\n".join(lines), "0" * 64))
    return found


def hostile_questions(documents: Sequence[Document]) -> list[Question]:
    """One with alternatives, one with two passages, one unanswerable, and one for each document."""

    def line(at: int, row: int) -> Span:
        text = documents[at].text
        start = text.index(f"Line {row} ")
        return Span(documents[at].id, start, text.index("\n\n", start))

    evidence = [
        Evidence(((line(0, 1), line(1, 1)),)),
        Evidence(((line(2, 0),), (line(3, 5),))),
        Evidence(),
        *(Evidence(((line(at, 3),),)) for at in range(4)),
    ]
    return [
        Question(
            id=f"q{at}",
            text=f"Question {at}? {HOSTILE}",
            group=f"group{at}",
            evidence=found,
            split="dev" if at % 2 else "test",
            kind=f"kind {HOSTILE}" if at == 4 else "look-up" if found.groups else "unanswerable",
            answer=f"Answer {HOSTILE}",
        )
        for at, found in enumerate(evidence)
    ]


def permuted(table: ChunkTable, questions: int, *, seed: int, k: int) -> Any:
    """k hits of each question, drawn without regard to it."""
    draw = np.random.default_rng(seed)
    ids = np.stack([draw.permutation(len(table))[:k] for _ in range(questions)])
    scores = np.tile(np.linspace(0.9, 0.1, ids.shape[1]), (questions, 1))
    return ranked(ids, scores, k=k)


class Made:
    """Writes the artifacts of a run, trial by trial."""

    def __init__(
        self, folder: Path, documents: Sequence[Document], questions: Sequence[Question]
    ) -> None:
        self.store = Store(folder)
        self.documents, self.questions = tuple(documents), tuple(questions)
        self.trials: list[TrialRun] = []
        self._write("documents", "d", codec.pack_documents(documents))
        self._write("questions", "q", codec.pack_questions(questions))

    def _write(
        self,
        kind: str,
        key: str,
        arrays: Any,
        inputs: Mapping[str, Ref] | None = None,
        **facts: Any,
    ) -> Ref:
        parts = {role: list(ref) for role, ref in (inputs or {}).items()}
        self.store.write(kind, key, arrays, facts, {"version": 1, "spec": {}, "inputs": parts})
        return Ref(kind, key)

    def trial(
        self,
        name: str,
        chunk: Mapping[str, Any],
        measures: Sequence[str],
        *,
        hits: Callable[[ChunkTable], Any] | None = None,
        values: Mapping[str, Sequence[float]] | None = None,
        short: Mapping[str, float] | None = None,
        index_bytes: int | None = 2_000_000,
    ) -> None:
        """Add a finished trial; its scores are the evaluation's unless `values` says others."""
        table = chunk_corpus(chunkers.parse(chunk), self.documents, open_tokenizer())
        found = hits(table) if hits else permuted(table, len(self.questions), seed=len(name), k=6)
        given = score(
            prepare(
                table,
                self.questions,
                ends=token_ends(table, self.documents),
                sources={document.id: document.text for document in self.documents},
            ),
            [Measure.parse(measure) for measure in measures],
            found,
        ).values
        given |= {measure: np.array(column) for measure, column in (values or {}).items()}
        ends = token_ends(table, self.documents)
        chunk_ = self._write(
            "chunk", name, codec.pack_chunks(table), {"documents": Ref("documents", "d")},
            chunks=len(table),
        )  # fmt: skip
        parts = {"chunk": chunk_, "questions": Ref("questions", "q")}
        hits_ = self._write("lexical", name, codec.pack_hits(found), parts, index_bytes=index_bytes)
        tokens = self._write("tokens", name, {"first": ends.first, "ends": ends.ends}, parts)
        parts |= {"hits": hits_, "tokens": tokens}
        score_ = self._write("score", name, given, parts, short=dict(short or {}))
        roles = {"chunk": chunk_, "lexical": hits_, "hits": hits_, "score": score_}
        config = {"tokenizer": "cl100k", "chunk": chunk, "search": {"kind": "bm25", "k": 6}}
        self.trials.append(TrialRun(name, config, roles, "FINISHED"))

    def results(self, measures: Sequence[str], **changes: Any) -> Results:
        corpus = Corpus("made", self.documents, self.questions)
        run = Run(
            id="abc123",
            name="made",
            settings={},
            file=None,
            measures=tuple(measures),
            choose=None,
            baseline=self.trials[0].id,
            seed=0,
            corpus={
                "name": "made",
                "fingerprint": corpus.fingerprint,
                "questions_fingerprint": corpus.questions_fingerprint,
                "about": {},
                "left_out": {},
            },
            documents=Ref("documents", "d"),
            questions=Ref("questions", "q"),
            varying=("chunk.kind", "chunk.size"),
            trials=tuple(self.trials),
            stages={"total": 3, "run": 2, "stored": 1, "failed": 0, "left": 0, "by_kind": {}},
            seconds=1.0,
            stopped=None,
            started="2026-01-01T00:00:00Z",
            environment={},
        )
        return Results(replace(run, **changes), self.store)


def token_ends(table: ChunkTable, documents: Sequence[Document]) -> TokenEnds:
    texts = {document.id: document.text for document in documents}
    ends = [open_tokenizer().ends(returned_text(table, row, texts)) for row in range(len(table))]
    first = np.cumsum([0, *map(len, ends)])
    return TokenEnds(first.astype(np.int32), np.concatenate(ends))


MEASURES = ("recall@60t", "recall@2", "ndcg@60t")
CHOOSE = {
    "maximise": "recall@60t",
    "within": 0.1,
    "prefer": {"minimise": "index_mb", "maximise": None},
}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A store with hostile documents and questions, and no trial yet."""
    documents = hostile_documents()
    return Made(tmp_path / "made", documents, hostile_questions(documents))


@pytest.fixture
def hostile(made: Made) -> Results:
    """Three finished trials and a failed one; everything that a user wrote is markup."""
    for size in (16, 32, 64):
        made.trial(f"trial{size}", {"kind": "recursive", "size": size}, MEASURES)
    failed = TrialRun("trialx", {"chunk": {"kind": "fixed"}}, {}, "FAILED", f"broke: {HOSTILE}")
    skipped = TrialRun("trialy", {"chunk": {"kind": "fixed"}}, {}, "SKIPPED")
    made.trials += [failed, skipped]
    return made.results(
        MEASURES, name=f"name {HOSTILE}", choose=CHOOSE, stopped="budget",
        notes=(f"note {HOSTILE}",),
    )  # fmt: skip


@pytest.fixture
def lone(tmp_path: Path) -> Results:
    """A trial with a single question."""
    documents = hostile_documents()
    made = Made(tmp_path / "lone", documents, hostile_questions(documents)[3:4])
    made.trial("only", {"kind": "recursive", "size": 32}, ("recall@2",))
    return made.results(("recall@2",))


@pytest.fixture
def graded(tmp_path: Path) -> Results:
    """Two trials over qrels: evidence is whole documents with grades."""
    documents = [replace(d, id=f"doc{at}") for at, d in enumerate(hostile_documents())]
    questions = [
        Question(f"g{at}", f"Graded {at}?", f"g{at}", Evidence(grades={f"doc{at}": 2, "doc3": 1}))
        for at in range(3)
    ]
    made = Made(tmp_path / "graded", documents, questions)
    for size in (16, 32):
        made.trial(f"trial{size}", {"kind": "recursive", "size": size}, ("recall@2", "ndcg@2"))
    return made.results(("recall@2", "ndcg@2"))


@pytest.fixture
def few(tmp_path: Path) -> Made:
    """A store with 40 questions of four groups, dev and test in turn; no trial yet."""
    documents = hostile_documents()
    one = hostile_questions(documents)[3]
    questions = [
        replace(one, id=f"f{at}", group=f"f{at % 4}", split="test" if at % 2 else "dev")
        for at in range(40)
    ]
    return Made(tmp_path / "few", documents, questions)


def ungrouped(folder: Path, questions: int) -> Made:
    """A store of so many questions, each a group of its own, dev and test in turn."""
    documents = hostile_documents()
    one = hostile_questions(documents)[3]
    asked = [
        replace(one, id=f"m{at}", group=f"m{at}", split="test" if at % 2 else "dev")
        for at in range(questions)
    ]
    return Made(folder, documents, asked)


@pytest.fixture
def many(tmp_path: Path) -> Made:
    """A store with 120 questions, each a group of its own, dev and test in turn; no trial yet."""
    return ungrouped(tmp_path / "many", 120)


@pytest.fixture
def halved(tmp_path: Path) -> Made:
    """The same with 30 questions: 15 groups a side."""
    return ungrouped(tmp_path / "halved", 30)


@pytest.fixture
def uneven(tmp_path: Path) -> Made:
    """The same with 120 questions of 27 groups a side: three of 12 questions, the rest of one."""
    even = ungrouped(tmp_path / "uneven", 120)
    groups = [f"big{at // 12}" if at < 36 else f"small{at}" for at in range(60)]
    asked = [
        replace(question, group=f"{question.split}-{groups[at // 2]}")
        for at, question in enumerate(even.questions)
    ]
    return Made(tmp_path / "grouped", even.documents, asked)
