"""Keys and codecs: what a result is found by, and that it comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.pipeline import codec, stages
from mox.pipeline.stages import VERSIONS, make
from mox.types import Document, Evidence, Question, Span

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
spans = st.builds(Span, words, st.integers(0, 9), st.integers(10, 99))


def test_a_key_depends_on_all_that_makes_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make("chunk", {"size": 1}, {}, {"lib": "1"})
    others = [
        make("tokens", {"size": 1}, {}, {"lib": "1"}),
        make("chunk", {"size": 2}, {}, {"lib": "1"}),
        make("chunk", {"size": 1}, {"documents": first}, {"lib": "1"}),
        make("chunk", {"size": 1}, {}, {"lib": "2"}),
    ]
    monkeypatch.setattr(stages, "VERSIONS", {**VERSIONS, "chunk": VERSIONS["chunk"] + 1})
    others.append(make("chunk", {"size": 1}, {}, {"lib": "1"}))
    assert len({first.key, *(stage.key for stage in others)}) == 6


def test_a_key_does_not_depend_on_the_order_of_settings() -> None:
    one = make("chunk", {"a": 1, "b": 2}, {}, {})
    two = make("chunk", {"b": 2, "a": 1}, {}, {})
    assert one.key == two.key


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(words, max_size=6))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    assert codec.unpack_texts(*codec.pack_texts(texts)) == tuple(texts)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(words, words, words), max_size=4))
def test_documents_come_back_as_they_were(rows: list[tuple[str, str, str]]) -> None:
    documents = tuple(
        Document(name, text, "0" * 64, uri=uri, metadata={"of": name}) for name, text, uri in rows
    )
    assert codec.unpack_documents(codec.pack_documents(documents)) == documents


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.lists(spans, min_size=1, max_size=3), max_size=3), words)
def test_questions_come_back_as_they_were(groups: list[list[Span]], text: str) -> None:
    questions = (
        Question("a", text, "g", Evidence(tuple(map(tuple, groups))), "dev", "look-up", text),
        Question("b", text, "g", Evidence(grades={text or "d": 2})),
    )
    assert codec.unpack_questions(codec.pack_questions(questions)) == questions
