"""What every corpus loader is held to; subclass `CorpusContract` for your own."""
# ruff: noqa: S101

from __future__ import annotations

from pathlib import Path

import pytest

from mox.corpus import corpora
from mox.corpus.check import faults
from mox.spec import Spec
from mox.types import Corpus


class CorpusContract:
    """Override `spec`, and `base` where its paths are relative."""

    @pytest.fixture
    def spec(self) -> Spec:
        """The settings of a corpus that can be loaded."""
        raise NotImplementedError("override the fixture `spec`")

    @pytest.fixture
    def base(self, tmp_path: Path) -> Path:
        """The folder that relative paths of `spec` start from."""
        return tmp_path

    @pytest.fixture
    def corpus(self, spec: Spec, base: Path) -> Corpus:
        return corpora[spec](spec, base)

    def test_its_settings_survive_being_written_down(self, spec: Spec) -> None:
        assert corpora.parse(spec.model_dump(mode="json")) == spec

    def test_documents_have_unique_ids_and_text(self, corpus: Corpus) -> None:
        assert corpus.documents
        ids = [document.id for document in corpus.documents]
        assert len(set(ids)) == len(ids)
        assert all(ids)
        assert all(document.text.strip() for document in corpus.documents)

    def test_texts_are_whole_characters(self, corpus: Corpus) -> None:
        """No lone surrogates: they can't be hashed, tokenised or stored."""
        for text in (
            *(part for d in corpus.documents for part in (d.id, d.text)),
            *(part for q in corpus.questions for part in (q.id, q.text, q.group)),
        ):
            text.encode()

    def test_documents_name_their_bytes(self, corpus: Corpus) -> None:
        for document in corpus.documents:
            assert len(bytes.fromhex(document.sha256)) == 32

    def test_questions_have_unique_ids_text_and_group(self, corpus: Corpus) -> None:
        assert corpus.questions
        ids = [question.id for question in corpus.questions]
        assert len(set(ids)) == len(ids)
        assert all(q.id and q.text.strip() and q.group for q in corpus.questions)

    def test_splits_are_dev_and_test_for_all_questions_or_none(self, corpus: Corpus) -> None:
        splits = {question.split for question in corpus.questions}
        assert splits == {None} or splits <= {"dev", "test"}

    def test_spans_lie_in_their_documents(self, corpus: Corpus) -> None:
        length = {document.id: len(document.text) for document in corpus.documents}
        for question in corpus.questions:
            for group in question.evidence.groups:
                assert group, f"{question.id}: an empty group can't be found"
                for document, start, end in group:
                    assert 0 <= start < end <= length[document], question.id

    def test_grades_are_of_its_documents(self, corpus: Corpus) -> None:
        known = {document.id for document in corpus.documents}
        for question in corpus.questions:
            assert question.evidence.grades.keys() <= known, question.id

    def test_each_question_has_one_form_of_evidence_or_is_unanswerable(
        self, corpus: Corpus
    ) -> None:
        for question in corpus.questions:
            forms = bool(question.evidence.groups) + bool(question.evidence.grades)
            assert forms == (question.kind != "unanswerable"), question.id

    def test_what_is_left_out_is_no_question(self, corpus: Corpus) -> None:
        assert not corpus.left_out.keys() & {question.id for question in corpus.questions}
        assert all(corpus.left_out.values()), "each needs a reason"

    def test_a_plan_can_be_made_of_it(self, corpus: Corpus) -> None:
        """What a sweep checks before it begins: all that is stored is text, JSON and integers."""
        assert next(faults(corpus), None) is None

    def test_two_loads_have_one_fingerprint(self, spec: Spec, base: Path, corpus: Corpus) -> None:
        again = corpora[spec](spec, base)
        assert again.fingerprint == corpus.fingerprint
        assert again.questions_fingerprint == corpus.questions_fingerprint
        assert corpora.fingerprint(spec) == corpora.fingerprint(spec)
