"""documents.jsonl and questions.jsonl."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest

from mox.corpus import corpora
from mox.corpus.evidence import EvidenceSpec
from mox.errors import DataError, MissingError, SpecError
from mox.testing.corpus import CorpusContract
from mox.types import Corpus, Evidence, Question, Span

DOCUMENTS = [{"id": "a", "text": "alpha beta"}, {"id": "b", "text": "gamma"}]
SPAN = {"document": "a", "start": 0, "end": 5, "text": "alpha"}
QUESTION = {"id": "q1", "text": "Which?", "evidence": [SPAN]}


@pytest.fixture
def load(write, tmp_path):
    """Load a corpus of these lines."""

    def of(questions, documents=DOCUMENTS) -> Corpus:
        write("documents.jsonl", documents)
        write("questions.jsonl", questions)
        spec = EvidenceSpec(path=".")
        return corpora[spec](spec, tmp_path)

    return of


def refused(tmp_path, file, line, what):
    return pytest.raises(DataError, match=re.escape(f"{tmp_path / file}:{line}: ") + what)


class TestEvidence(CorpusContract):
    @pytest.fixture
    def spec(self, write):
        write("c/documents.jsonl", DOCUMENTS)
        write("c/questions.jsonl", [QUESTION, {**QUESTION, "id": "q2", "group": "g"}])
        return EvidenceSpec(path="c")


class TestChroma(CorpusContract):
    @pytest.fixture
    def spec(self):
        return EvidenceSpec(path="chroma")

    @pytest.fixture
    def base(self, shared_data):
        return shared_data

    def test_counts_are_those_of_its_readme(self, corpus):
        assert corpus.name == "chroma"
        assert sum(len(document.text) for document in corpus.documents) == 206_423
        spans = Counter(len(question.evidence.groups) for question in corpus.questions)
        assert spans == {1: 169, 2: 55, 3: 37, 4: 13, 5: 2}
        groups = Counter(question.group for question in corpus.questions)
        assert groups == {"state_of_the_union": 76, "wikitexts": 144, "chatlogs": 56}
        assert {question.split for question in corpus.questions} == {None}


class TestXquad(CorpusContract):
    @pytest.fixture
    def spec(self):
        return EvidenceSpec(path="xquad_en")

    @pytest.fixture
    def base(self, shared_data):
        return shared_data

    def test_counts_are_those_of_its_readme(self, corpus):
        assert len(corpus.documents) == 240
        assert sum(len(document.text) for document in corpus.documents) == 188_362
        assert len(corpus.questions) == 1_190
        assert {len(question.evidence.groups) for question in corpus.questions} == {1}


def test_all_fields_arrive(load, write):
    document = {"id": "a", "text": "alpha \U0001f600 beta", "title": "A", "uri": "file:a",
                "media_type": "text/markdown", "metadata": {"year": 2024}}  # fmt: skip
    question = {
        "id": "q1", "text": "Which?", "group": "g", "split": "dev", "kind": "look-up",
        "answer": "beta", "evidence": [{"document": "a", "start": 8, "end": 12, "text": "beta"}],
    }  # fmt: skip
    corpus = load([question], [document])
    (read,) = corpus.documents
    assert (read.id, read.text, read.uri, read.media_type) == (
        "a", "alpha \U0001f600 beta", "file:a", "text/markdown")  # fmt: skip
    assert read.metadata == {"year": 2024, "title": "A"}
    assert read.sha256 == hashlib.sha256("alpha \U0001f600 beta".encode()).hexdigest()
    evidence = Evidence(groups=((Span("a", 8, 12),),))
    assert corpus.questions == (
        Question("q1", "Which?", "g", evidence, split="dev", kind="look-up", answer="beta"),
    )


def test_items_are_all_of_and_a_list_among_them_any_of(load):
    either = [{"document": "b", "start": 0, "end": 2}, {"document": "a", "start": 1, "end": 2}]
    (question,) = load([{**QUESTION, "evidence": [SPAN, either]}]).questions
    assert question.evidence.groups == (
        (Span("a", 0, 5),),
        (Span("b", 0, 2), Span("a", 1, 2)),
    )


def test_a_group_defaults_to_the_first_evidences_document(load):
    b = {"document": "b", "start": 0, "end": 2}
    none = {"id": "q3", "text": "?", "evidence": [], "kind": "unanswerable"}
    corpus = load([{**QUESTION, "evidence": [b, SPAN]}, {**QUESTION, "id": "q2"}, none])
    assert [question.group for question in corpus.questions] == ["b", "a", "q3"]


def test_a_question_without_the_field_evidence_is_refused(load, tmp_path):
    with refused(tmp_path, "questions.jsonl", 2, "the question has no field `evidence`"):
        load([QUESTION, {"id": "q2", "text": "?", "kind": "unanswerable"}])


def test_empty_evidence_is_for_the_unanswerable_alone(load, tmp_path):
    with refused(tmp_path, "questions.jsonl", 1, "no evidence, and its kind is not given"):
        load([{**QUESTION, "evidence": []}])
    with refused(tmp_path, "questions.jsonl", 1, "unanswerable, and yet there is evidence"):
        load([{**QUESTION, "kind": "unanswerable"}])
    (question,) = load([{**QUESTION, "evidence": [], "kind": "unanswerable"}]).questions
    assert not question.answerable


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 11), (11, 12), (3, 3), (4, 3)])
def test_evidence_outside_of_its_document_is_refused(load, tmp_path, start, end):
    outside = {"document": "a", "start": start, "end": end}
    with refused(
        tmp_path, "questions.jsonl", 2,
        rf"evidence \[{start}, {end}\) lies outside of the document 'a', which has 10 char",
    ):  # fmt: skip
        load([QUESTION, {**QUESTION, "id": "q2", "evidence": [SPAN, outside]}])


def test_evidence_in_an_unknown_document_is_refused(load, tmp_path):
    documents = [{"id": "alpha", "text": "alpha beta"}]
    with refused(tmp_path, "questions.jsonl", 1, ".*'alpa', which isn't .*did you mean 'alpha'"):
        load([{**QUESTION, "evidence": [{**SPAN, "document": "alpa"}]}], documents)


def test_a_quotation_that_is_not_the_text_is_refused_with_both(load, tmp_path):
    with refused(
        tmp_path, "questions.jsonl", 1, r"the evidence says 'gamma'.* has 'alpha' at \[0, 5\)"
    ):
        load([{**QUESTION, "evidence": [{**SPAN, "text": "gamma"}]}])


# In "\u00e9\U0001f600 beta" the word starts at code point 3, UTF-16 unit 4 and byte 7.
@pytest.mark.parametrize(
    ("start", "end", "hint"),
    [
        (4, 8, "these count UTF-16 code units"),
        (7, 11, "these count bytes"),
        (3, 6, "these leave it in"),
        (0, 4, r"that text stands at \[3, 7\)"),
    ],
)
def test_what_wrong_offsets_count_is_said(load, start, end, hint):
    documents = [{"id": "a", "text": "\u00e9\U0001f600 beta"}]
    wrong = {"document": "a", "start": start, "end": end, "text": "beta"}
    with pytest.raises(DataError, match=hint):
        load([{**QUESTION, "evidence": [wrong]}], documents)


@pytest.mark.parametrize(
    ("text", "start", "quote", "hint"),
    [
        ("one\r\ntwo\r\nthree", 4, "two\nthree", r"these count \\r\\n as one, as `open\(path\)`"),
        ("one\r\ntwo\r\nthree", 8, "three", r"these count \\r\\n as one"),
        ("one two", 5, "two", "these count from 1, or a byte order mark, which is no part"),
        (
            "\ufeffone two",
            4,
            "two",
            "these leave out the byte order mark that the text begins with",
        ),
    ],
)
def test_what_offsets_of_a_file_read_otherwise_count_is_said(load, text, start, quote, hint):
    wrong = {"document": "a", "start": start, "end": start + len(quote), "text": quote}
    with pytest.raises(DataError, match=hint):
        load([{**QUESTION, "evidence": [wrong]}], [{"id": "a", "text": text}])


@pytest.mark.parametrize(
    ("evidence", "what"),
    [
        (["alpha"], "a piece of evidence is a string"),
        ([[]], "an empty list among the evidence"),
        ([[["a"]]], "a piece of evidence is a list"),
        ({"document": "a"}, "`evidence` is an object"),
        (None, "`evidence` is null"),
        ([{"document": "a", "start": 0}], "no field `end`"),
        ([{**SPAN, "start": "0"}], "`start` is a string"),
        ([{**SPAN, "end": 5.0}], "`end` is a number"),
        ([{**SPAN, "stop": 5}], "unknown field `stop`"),
    ],
)
def test_evidence_of_another_form_is_refused(load, tmp_path, evidence, what):
    with refused(tmp_path, "questions.jsonl", 1, what):
        load([{**QUESTION, "evidence": evidence}])


def test_ids_that_stand_twice_are_refused_with_both_lines(load, tmp_path):
    first = re.escape(f"{tmp_path / 'documents.jsonl'}:1")
    with refused(tmp_path, "documents.jsonl", 3, f"the document id 'a' stands at {first}"):
        load([QUESTION], [*DOCUMENTS, {"id": "a", "text": "other"}])
    first = re.escape(f"{tmp_path / 'questions.jsonl'}:1")
    with refused(tmp_path, "questions.jsonl", 2, f"the question id 'q1' stands at {first}"):
        load([QUESTION, QUESTION])


@pytest.mark.parametrize("text", ["", " \n\u3000"])
def test_a_document_without_text_is_refused(load, tmp_path, text):
    with refused(tmp_path, "documents.jsonl", 3, "`text` has no text"):
        load([QUESTION], [*DOCUMENTS, {"id": "c", "text": text}])


@pytest.mark.parametrize(
    ("questions", "documents", "what"),
    [([QUESTION], [], "documents"), ([], DOCUMENTS, "questions"), ([QUESTION], [""], "documents")],
)
def test_an_empty_corpus_is_refused(load, tmp_path, questions, documents, what):
    file = re.escape(str(tmp_path / f"{what}.jsonl"))
    with pytest.raises(DataError, match=f"{file}: no {what}"):
        load(questions, documents)


def test_text_that_is_not_utf8_is_refused(load, tmp_path):
    load([QUESTION])
    file = tmp_path / "documents.jsonl"
    file.write_bytes(file.read_bytes() + b'{"id": "c", "text": "caf\xe9"}\n')
    spec = EvidenceSpec(path=".")
    with refused(tmp_path, "documents.jsonl", 3, "not UTF-8 at byte"):
        corpora[spec](spec, tmp_path)


def test_a_misspelt_field_is_refused_with_the_nearest(load, tmp_path):
    with refused(tmp_path, "questions.jsonl", 1, "unknown field `spilt`, did you mean 'split'"):
        load([{**QUESTION, "spilt": "dev"}])
    with refused(tmp_path, "documents.jsonl", 1, "unknown field `titel`, did you mean 'title'"):
        load([QUESTION], [{**DOCUMENTS[0], "titel": "A"}])


def test_splits_are_dev_and_test_and_for_all_or_none(load, tmp_path):
    with refused(tmp_path, "questions.jsonl", 1, "the split is 'train'"):
        load([{**QUESTION, "split": "train"}])
    second = re.escape(f"{tmp_path / 'questions.jsonl'}:2")
    with refused(tmp_path, "questions.jsonl", 1, f"no split, and the question at {second} has"):
        load([QUESTION, {**QUESTION, "id": "q2", "split": "dev"}])


def test_a_group_that_is_written_stands_on_one_side(load, tmp_path):
    dev, test = ({**QUESTION, "group": "g", "split": side} for side in ("dev", "test"))
    first = re.escape(f"{tmp_path / 'questions.jsonl'}:1")
    said = rf"the question 'q3' of the group 'g' is for test, and 'q1' .* at {first}, for dev"
    with refused(tmp_path, "questions.jsonl", 3, said):
        load([dev, {**dev, "id": "q2", "group": "h"}, {**test, "id": "q3"}])
    # Groups that nobody wrote are documents, and a plan notes those that are on both sides.
    bare = [{**QUESTION, "id": side, "split": side} for side in ("dev", "test")]
    assert [question.group for question in load(bare).questions] == ["a", "a"]


def test_a_folder_or_file_that_is_not_there_is_missing(write, tmp_path):
    for path, what in (("nowhere", "no corpus folder"), (".", r"questions\.jsonl: no such file")):
        write("documents.jsonl", DOCUMENTS)
        spec = EvidenceSpec(path=path)
        with pytest.raises(MissingError, match=what):
            corpora[spec](spec, tmp_path)


def test_a_misspelt_setting_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match="evidence has no field 'pathh', did you mean 'path'"):
        corpora.parse({"kind": "evidence", "path": ".", "pathh": "."})


@pytest.mark.parametrize("kind", ["evidence", "beir", "folder"])
def test_a_folder_of_nobody_is_missing(kind, tmp_path):
    spec = corpora.parse({"kind": kind, "path": "~nobody-of-this-name/x"})
    with pytest.raises(MissingError, match="home folder ~nobody-of-this-name isn't known"):
        corpora[spec](spec, tmp_path)
