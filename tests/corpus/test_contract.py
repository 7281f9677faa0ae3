"""The contract goes red on loaders that break it, and the room stays light."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from mox.testing.corpus import CorpusContract
from mox.types import Corpus, Document, Evidence, Question, Span

GOOD = Corpus(
    "c",
    (Document("d", "text", "0" * 64),),
    (Question("q", "?", "g", Evidence(groups=((Span("d", 0, 4),),))),),
)
DOCUMENT, QUESTION = GOOD.documents[0], GOOD.questions[0]


def document(**changes):
    return replace(GOOD, documents=(replace(DOCUMENT, **changes),))


def question(**changes):
    return replace(GOOD, questions=(replace(QUESTION, **changes),))


BAD = {
    "test_documents_have_unique_ids_and_text": [
        replace(GOOD, documents=()), replace(GOOD, documents=(DOCUMENT, DOCUMENT)),
        document(text=" "), document(id=""),
    ],
    "test_texts_are_whole_characters": [document(text="\ud800"), question(text="\ud800")],
    "test_documents_name_their_bytes": [document(sha256=""), document(sha256="words")],
    "test_questions_have_unique_ids_text_and_group": [
        replace(GOOD, questions=()), replace(GOOD, questions=(QUESTION, QUESTION)),
        question(group=""), question(text=""),
    ],
    "test_splits_are_dev_and_test_for_all_questions_or_none": [
        question(split="train"),
        replace(GOOD, questions=(QUESTION, replace(QUESTION, id="r", split="dev"))),
    ],
    "test_spans_lie_in_their_documents": [
        question(evidence=Evidence(groups=((Span("d", *span),),)))
        for span in ((0, 5), (-1, 2), (2, 2))
    ] + [question(evidence=Evidence(groups=((),)))],
    "test_grades_are_of_its_documents": [question(evidence=Evidence(grades={"x": 1}))],
    "test_each_question_has_one_form_of_evidence_or_is_unanswerable": [
        question(evidence=Evidence()), question(kind="unanswerable"),
        question(evidence=replace(QUESTION.evidence, grades={"d": 1})),
    ],
    "test_what_is_left_out_is_no_question": [
        replace(GOOD, left_out={"q": "why"}), replace(GOOD, left_out={"x": ""}),
    ],
    "test_a_plan_can_be_made_of_it": [
        document(uri="\ud800"), document(metadata={"at": {1}}), question(answer=4),
        question(evidence=Evidence(grades={"d": 0.5})),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "bad"), [(name, bad) for name, corpora in BAD.items() for bad in corpora]
)
def test_what_breaks_the_contract_is_found(name, bad):
    check = getattr(CorpusContract(), name)
    check(GOOD)
    with pytest.raises((AssertionError, UnicodeEncodeError, ValueError)):
        check(bad)


def test_looking_up_loaders_imports_nothing_heavy():
    code = (
        "import sys; from mox.corpus import corpora; corpora.kinds();"
        "print({'pandas', 'sklearn', 'ruamel.yaml', 'mlflow', 'pymilvus', 'pytest'}"
        " & {*sys.modules})"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "set()"
