"""Our chunkers against the contract, on hostile texts and on random ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.chunking import chunkers
from mox.chunking.cut import chunk_document
from mox.chunking.fixed import Fixed
from mox.chunking.headings import Headings
from mox.chunking.recursive import Recursive
from mox.chunking.sentences import Sentences
from mox.chunking.tokenizers import open_tokenizer
from mox.chunking.whole import Whole
from mox.spec import Spec
from mox.testing.chunking import HOSTILE, ChunkerContract
from mox.types import Document


class TestFixed(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Fixed(size=32)


class TestFixedOverlapping(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Fixed(size=32, overlap=12)


class TestFixedOneToken(ChunkerContract):
    """One token a chunk: every character of several tokens is split."""

    @pytest.fixture
    def spec(self) -> Spec:
        return Fixed(size=1)


class TestRecursive(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Recursive(size=32)


class TestRecursiveOverlapping(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Recursive(size=32, overlap=12)


class TestRecursiveSmallest(ChunkerContract):
    """As small as a character may be."""

    @pytest.fixture
    def spec(self) -> Spec:
        return Recursive(size=4)


class TestSentences(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Sentences(size=32)


class TestSentencesOverlapping(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Sentences(size=32, overlap=20)


class TestSentencesSmallest(ChunkerContract):
    """As small as a character may be: every sentence is over the size."""

    @pytest.fixture
    def spec(self) -> Spec:
        return Sentences(size=4)


class TestHeadings(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Headings(size=32)


class TestHeadingsOfMarkdown(ChunkerContract):
    media_type = "text/markdown"

    @pytest.fixture
    def spec(self) -> Spec:
        return Headings(size=16)


class TestWhole(ChunkerContract):
    @pytest.fixture
    def spec(self) -> Spec:
        return Whole()


def test_every_chunker_of_ours_is_held_to_the_contract() -> None:
    held = {"fixed", "recursive", "sentences", "headings", "whole"}
    assert set(chunkers.kinds()) >= held
    assert {name.rpartition(".")[2] for name in chunkers._ours} == held


SPECS = [
    Fixed(size=5),
    Fixed(size=7, overlap=6),
    Recursive(size=6),
    Recursive(size=16, overlap=12),
    Sentences(size=6),
    Sentences(size=24, overlap=16),
    Headings(size=16),
    Headings(size=24, path=False),
    Whole(),
]
# Anything but surrogates; and what makes structure, so that structure comes often.
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=60)
LINES = st.sampled_from(
    [
        "# A\n",
        "## B `c`\n",
        "```\n",
        "T\n===\n",
        "U\n---\n",
        "====\nV\n====\n",
        "\r\n",
        "\n\n",
        " ",
        "- x\n",
        "Dr. A. saw it. ",
        "檢索。",
    ]
)
TEXTS = st.lists(st.one_of(ANYTHING, LINES, st.sampled_from(list(HOSTILE.values()))), max_size=6)


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
@pytest.mark.parametrize("spec", SPECS, ids=repr)
@settings(derandomize=True, max_examples=40, deadline=None)
@given(parts=TEXTS)
def test_any_text_is_cut_exactly_and_completely(
    spec: Spec, media_type: str, parts: list[str]
) -> None:
    text = "".join(parts)
    # The check of every run has refused any inexact span and any chunk over its size.
    chunks = chunk_document(spec, Document("d", text, "", media_type), open_tokenizer("cl100k"))
    covered = {i for chunk in chunks for start, end in chunk.spans for i in range(start, end)}
    assert not "".join(c for i, c in enumerate(text) if i not in covered).strip()
    assert all(text[start:end].strip() for chunk in chunks for start, end in chunk.spans)
