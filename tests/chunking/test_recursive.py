"""Recursive cuts: at the largest structure that fits, overlaps within the size."""

from __future__ import annotations

import inspect
import itertools
import sys

import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus, chunk_document
from mox.chunking.recursive import Recursive
from mox.chunking.tokenizers import Bpe
from mox.errors import DataError, FieldError
from mox.types import Chunk, Document

TEXT = (
    "First paragraph, in two sentences. It ends here.\n\n"
    "Second paragraph. It has three sentences. This is the last.\n\n"
    "A third one, and the end."
)


def cut(spec: Recursive, text: str, tokenizer: Bpe) -> list[Chunk]:
    return chunk_document(spec, Document("d", text, ""), tokenizer)


def test_paragraphs_are_kept_where_they_fit(cl100k: Bpe) -> None:
    # 11, 13 and 7 tokens: two don't fit 16 together.
    found = [chunk.text for chunk in cut(Recursive(size=16), TEXT, cl100k)]
    assert found == TEXT.split("\n\n")


def test_sentences_are_kept_where_paragraphs_dont_fit(cl100k: Bpe) -> None:
    found = [chunk.text for chunk in cut(Recursive(size=8), TEXT, cl100k)]
    assert found[:2] == ["First paragraph, in two sentences.", "It ends here."]


def test_it_cuts_chromas_corpora_as_published(chroma: list[Document], cl100k: Bpe) -> None:
    """Row `X_semchunk_200` of the corpora's README: 303 chunks, 147.9 tokens, at most 200."""
    table = chunk_corpus(Recursive(size=200), chroma, cl100k)
    tokens = [cl100k.count(text) for text in table.texts]
    assert (len(table), max(tokens)) == (303, 200)
    assert sum(tokens) / len(tokens) == pytest.approx(147.9, abs=0.05)


def test_an_overlap_leads_each_piece_in_by_what_stands_before_it(cl100k: Bpe) -> None:
    text = "".join(f"Sentence {number} says idiosyncratic things. " for number in range(40))
    pieces = cut(Recursive(size=20), text, cl100k)
    chunks = cut(Recursive(size=26, overlap=6), text, cl100k)
    assert [chunk.spans[0][1] for chunk in chunks] == [piece.spans[0][1] for piece in pieces]
    assert chunks[0] == pieces[0]
    for chunk, piece in zip(chunks[1:], pieces[1:], strict=True):
        (begin, _), (start, _) = chunk.spans[0], piece.spans[0]
        assert begin < start, "no overlap"
        assert text[begin - 1].isspace(), "it begins within a word"
        # One more: the space before a piece belongs to the token that the piece begins in.
        assert cl100k.count(text[begin:start]) <= 6 + 1


def test_an_overlap_without_words_begins_at_a_token(cl100k: Bpe) -> None:
    text = "檢索增強生成把文件切成小塊再找出最相關的段落然後交給模型回答" * 4
    chunks = cut(Recursive(size=24, overlap=8), text, cl100k)
    ends = {0, *cl100k.ends(text).tolist()}
    assert all(here.spans[0][1] > there.spans[0][0] for here, there in itertools.pairwise(chunks))
    assert all(chunk.spans[0][0] in ends for chunk in chunks)


def test_white_space_between_pieces_counts_towards_the_size(cl100k: Bpe) -> None:
    """Where semchunk's own overlap joins pieces over white space that it hasn't counted."""
    from semchunk.semchunk import chunk

    gap = " \n\t\n" * 12
    text = gap.join(f"Words of part {number}." for number in range(12))
    theirs = chunk(text, 24, cl100k.count, memoize=False, overlap=12)
    assert max(map(cl100k.count, theirs)) > 24, "this text doesn't tell the two apart"
    chunks = cut(Recursive(size=24, overlap=12), text, cl100k)
    assert max(cl100k.count(chunk.text) for chunk in chunks) <= 24


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 20, "overlap": 20}, "overlap = 20: .*of size = 20"),
        ({"size": 20, "overlap": 17}, "overlap = 17: .*leave 4 tokens"),
        ({"size": 3}, "size = 3: .*greater than or equal to 4"),
    ],
)
def test_sizes_that_no_character_fits_are_refused(settings: dict[str, int], said: str) -> None:
    """semchunk would split a character of four tokens for ever."""
    with pytest.raises(FieldError, match=said):
        chunkers.parse({"kind": "recursive", **settings})


def test_the_widest_character_fits_the_smallest_size(cl100k: Bpe) -> None:
    text = "\U0010ffff\U0010fffe"  # four tokens each
    assert [chunk.text for chunk in cut(Recursive(size=4), text, cl100k)] == list(text)
    assert len(cut(Recursive(size=8, overlap=4), text, cl100k)) == 2


def test_more_kinds_of_white_space_than_semchunk_descends_into_is_said(cl100k: Bpe) -> None:
    """It descends once per length; Python's limit is lowered so that the text can be short."""
    text = "".join(f"w{' ' * length}" for length in range(1, 200))
    spec, usual = Recursive(size=4), sys.getrecursionlimit()
    assert cut(spec, text, cl100k)
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        with pytest.raises(DataError, match=r"'d'.*so many different lengths") as caught:
            cut(spec, text, cl100k)
    finally:
        sys.setrecursionlimit(usual)
    assert "fixed" in caught.value.mend


def test_semchunk_remembers_nothing_for_ever(cl100k: Bpe) -> None:
    from semchunk import semchunk

    cut(Recursive(size=8), TEXT, cl100k)
    assert semchunk._memoized_token_counters == {}


@pytest.mark.parametrize("other", [{"size": 14}, {"overlap": 4}])
def test_every_setting_changes_the_result(other: dict[str, int], cl100k: Bpe) -> None:
    made = [
        cut(Recursive.model_validate({"size": 12} | part), TEXT, cl100k) for part in ({}, other)
    ]
    assert made[0] != made[1]
