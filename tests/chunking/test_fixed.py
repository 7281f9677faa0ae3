"""Fixed windows: over the document's tokens, characters kept whole."""

from __future__ import annotations

import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus, chunk_document
from mox.chunking.fixed import Fixed
from mox.chunking.tokenizers import Bpe
from mox.errors import FieldError
from mox.types import Document


def cut(spec: Fixed, text: str, tokenizer: Bpe) -> list[str]:
    return [chunk.text for chunk in chunk_document(spec, Document("d", text, ""), tokenizer)]


def test_windows_are_cut_at_every_size_minus_overlap_tokens(cl100k: Bpe) -> None:
    # Tokens, by tiktoken: The| quick| brown| fox|.
    text = "The quick brown fox."
    assert cut(Fixed(size=2), text, cl100k) == ["The quick", " brown fox", "."]
    assert cut(Fixed(size=3, overlap=1), text, cl100k) == ["The quick brown", " brown fox."]
    assert cut(Fixed(size=9), text, cl100k) == [text]


def test_a_split_character_goes_whole_to_the_earlier_chunk(cl100k: Bpe) -> None:
    # Tokens, by tiktoken: U+10FFFF is f4|8f|bf|bf, and a is one.
    text = "\U0010ffff\U0010ffffa"
    assert cut(Fixed(size=2), text, cl100k) == ["\U0010ffff", "\U0010ffff", "a"]
    assert cut(Fixed(size=5), text, cl100k) == ["\U0010ffff\U0010ffff", "a"]
    assert cut(Fixed(size=3), text, cl100k) == ["\U0010ffff", "\U0010ffff", "a"]


@pytest.mark.parametrize(
    ("spec", "chunks", "mean_tokens"),
    [
        (Fixed(size=200), 226, 198.3),
        (Fixed(size=250), 180, 249.0),
        (Fixed(size=250, overlap=125), 357, 249.5),
        (Fixed(size=400), 114, 393.2),
    ],
    ids=repr,
)
def test_it_cuts_chromas_corpora_as_chromas_token_text_does(
    spec: Fixed, chunks: int, mean_tokens: float, chroma: list[Document], cl100k: Bpe
) -> None:
    """Rows `TokenText_*` of the corpora's README: windows over cl100k ids, made elsewhere."""
    table = chunk_corpus(spec, chroma, cl100k)
    assert len(table) == chunks
    assert sum(map(cl100k.count, table.texts)) / chunks == pytest.approx(mean_tokens, abs=0.05)


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (1, 1)])
def test_an_overlap_that_leaves_nothing_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(FieldError, match=rf"overlap = {overlap}: .*below size = {size}") as caught:
        chunkers.parse({"kind": "fixed", "size": size, "overlap": overlap})
    assert caught.value.field == "overlap"


@pytest.mark.parametrize("wrong", [{"size": 0}, {"overlap": -1}])
def test_sizes_below_nothing_are_refused(wrong: dict[str, int]) -> None:
    (field,) = wrong
    with pytest.raises(FieldError, match=field):
        chunkers.parse({"kind": "fixed", **wrong})


@pytest.mark.parametrize(("one", "other"), [({"size": 5}, {"size": 6}), ({}, {"overlap": 2})])
def test_every_setting_changes_the_result(
    one: dict[str, int], other: dict[str, int], cl100k: Bpe
) -> None:
    text = "Settings that change nothing are worse than none. " * 3
    made = [cut(Fixed.model_validate({"size": 5} | part), text, cl100k) for part in (one, other)]
    assert made[0] != made[1]
