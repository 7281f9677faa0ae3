"""No loader is believed: what it gives is checked before a plan is made of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

import mox
from mox.corpus import corpora
from mox.errors import DataError
from mox.registry import Entry
from mox.spec import Spec
from mox.types import Corpus, Document, Evidence, Question, Span

GOOD = Corpus(
    "given",
    tuple(Document(f"d{n}", f"word{n} is here.", "0" * 64) for n in range(3)),
    tuple(
        Question(f"q{n}", f"word{n}?", f"d{n}", Evidence(groups=((Span(f"d{n}", 0, 5),),)))
        for n in range(3)
    ),
)
DOCUMENT, QUESTION = GOOD.documents[0], GOOD.questions[0]


class Given(Spec):
    """Loads what a test gives."""

    kind: Literal["given"] = "given"


def document(**changes: Any) -> Corpus:
    return replace(GOOD, documents=(replace(DOCUMENT, **changes), *GOOD.documents[1:]))


def question(**changes: Any) -> Corpus:
    return replace(GOOD, questions=(replace(QUESTION, **changes), *GOOD.questions[1:]))


def spans(*found: Span) -> Evidence:
    return Evidence(groups=(found,))


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., mox.Plan]:
    """Plans an experiment on a corpus that a plugin's loader gives, or a card that names it."""

    def of(corpus: Corpus, named: Mapping[str, str] = {"kind": "given"}) -> mox.Plan:
        def load(_spec: Given, _base: Path) -> Corpus:
            return corpus

        corpora.kinds()  # ours are registered before the copy is made
        entry = Entry(Given, load, lambda _: {}, {}, "their-corpora")
        monkeypatch.setattr(corpora, "_entries", {**corpora._entries, "given": entry})
        axes = {"chunk": [{"kind": "whole"}], "search": [{"kind": "bm25", "k": 3}]}
        return mox.plan({"name": "x", "corpus": named, "axes": axes, "measure": ["recall@3"]})

    return of


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        (replace(GOOD, documents=(*GOOD.documents, DOCUMENT)), "document id 'd0' stands 2 times"),
        (replace(GOOD, questions=(*GOOD.questions, QUESTION)), "question id 'q0' stands 2 times"),
        (
            question(evidence=spans(Span("d0", 0, 5), Span("d0", 0, 5000))),
            r"'q0' has evidence at \[0, 5000\) of the document 'd0', which has 14 characters",
        ),
        (question(evidence=spans(Span("d0", 3, 3))), r"'q0' has evidence at \[3, 3\)"),
        (question(evidence=spans(Span("d0", -1, 3))), r"'q0' has evidence at \[-1, 3\)"),
        (
            question(evidence=spans(Span("nope", 0, 5))),
            "'q0' has evidence in the document 'nope', which isn't in the corpus",
        ),
        (question(evidence=spans()), "'q0' has evidence of no span"),
        (question(evidence=Evidence(grades={"nope": 1})), "'q0' has a grade of the document 'nope"),
        (
            question(evidence=Evidence(QUESTION.evidence.groups, {"d0": 1})),
            "'q0' has spans and grades",
        ),
        (question(split="dev"), "some questions have a split and others none"),
        (question(split="train"), "a split is none of dev, test and None"),
        (document(text="word \ud800"), "the document 'd0' can't be stored .*surrogates"),
        (question(group="\ud800"), "the question 'q0' can't be stored .*surrogates"),
        (document(metadata={"at": datetime.date.min}), "'d0' can't be stored .*not JSON serial"),
        (document(uri="\ud800"), r"the document 'd0' can't be stored \(uri: .*surrogates"),
        (document(media_type=None), "the document 'd0' has no text as its media_type, but None"),
        (document(id=5), "the document 5 has no text as its id, but 5"),
        (document(id=""), "the document '' has an empty id"),
        (document(text=" \n"), "the document 'd0' has an empty text"),
        (question(answer="\ud800"), r"question 'q0' can't be stored \(answer: .*surrogates"),
        (question(answer=Path("x")), r"question 'q0' has no text as its answer, but \w*Path"),
        (question(kind="\ud800"), r"question 'q0' can't be stored \(kind: .*surrogates"),
        (question(text=""), "the question 'q0' has an empty text"),
        (question(group=""), "the question 'q0' has an empty group"),
        (question(split=["dev"]), "question 'q0' has no text as its split"),
        (question(evidence=Evidence()), "'q0' has no evidence, and its kind is not given"),
        (question(kind="unanswerable"), "'q0' is unanswerable, and yet has evidence"),
        (
            question(kind="unanswerable", evidence=Evidence(grades={"d0": 1})),
            "'q0' is unanswerable, and yet has evidence",
        ),
        (question(evidence=spans(Span("d0", 0.0, 5))), "no integers"),  # type: ignore[arg-type]
        (
            question(evidence=Evidence(grades={"d0": float("nan")})),  # type: ignore[dict-item]
            "'q0' has the grade nan of the document 'd0', which is no integer",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_naming_the_plugin(
    plan: Callable[[Corpus], mox.Plan], corpus: Corpus, said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        plan(corpus)
    assert caught.value.message.startswith("the loader of given, of their-corpora, gives a corpus")
    assert "report it to their-corpora" in caught.value.mend


def test_of_a_card_the_loader_that_it_names_is_to_blame(
    plan: Callable[..., mox.Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "datasets" / "theirs" / "card.yaml"
    card.parent.mkdir(parents=True)
    said = "schema: 1\nname: theirs\ntitle: T\nlicence: L\ndescription: D\n"
    card.write_text(f"{said}source: {{kind: given}}\n")
    monkeypatch.chdir(tmp_path)
    named = {"kind": "card", "name": "theirs"}
    assert plan(GOOD, named).corpus.documents == GOOD.documents
    with pytest.raises(DataError, match=r"^the loader of given, of their-corpora, gives a corpus"):
        plan(question(split="dev"), named)


def test_what_can_be_scored_is_not(plan: Callable[[Corpus], mox.Plan]) -> None:
    graded = question(evidence=Evidence(grades={"d0": 1, "d1": 0}))
    nothing = question(evidence=Evidence(), kind="unanswerable")
    for corpus in (GOOD, graded, nothing, document(metadata={"year": 1})):
        assert plan(corpus).corpus.documents == corpus.documents
